"""NHANES 2017-2018: interviews, examinations and laboratory values of US residents."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import polars as pl

from taskloom.data.acquire import Raw, Say
from taskloom.data.readers.first_line import first_line
from taskloom.data.readers.one_file import one_file
from taskloom.data.readers.user_files import UserFiles
from taskloom.data.table import Table
from taskloom.data.text_table import read_table
from taskloom.errors import DataError

#: columns of words, or of words and numbers; all others are numbers
TEXTS = (
    *("GeneralHealthCondition", "TypeOfMilkFirstFedWholeMilk", "HowHealthyIsTheDiet", "HowOftenDoYouSnore"),
    *("Past30DayMilkProductConsumption", "YouDrinkWholeOrRegularMilk", "RegularMilkUse5TimesPerWeek"),
    *("HowOftenDrankMilkAge512", "HowOftenDrankMilkAge1317", "HowOftenDrankMilkAge1835"),
    *("SchoolLunchFreeReducedOrFullPrice", "SchoolBreakfastFreereducedfullPrice", "SummerProgramMealFreereducedPrice"),
    *("UsualSleepTimeOnWeekdaysOrWorkdays", "UsualWakeTimeOnWeekdaysOrWorkdays", "HowOftenFeelOverlySleepyDuringDay"),
    *("DifficultyTheseProblemsHaveCaused", "DifficultyManagingMoney", "Gender", "RacehispanicOrigin"),
    *("RacehispanicOriginWNhAsian", "ServedActiveDutyInUsArmedForces", "EducationLevelChildrenyouth619"),
    *("EducationLevelAdults20", "MaritalStatus", "TotalNumberOfPeopleInTheHousehold"),
    *("TotalNumberOfPeopleInTheFamily", "OfChildren5YearsOrYoungerInHh", "OfChildren617YearsOldInHh"),
    *("OfAdults60YearsOrOlderInHh", "HowOftenAddSaltToFoodAtTable", "DoctorToldYouHaveDiabetes", "FamilyHistory"),
    *("DoYouNowSmokeCigarettes", "UnitOfMeasureDayweekmonthyear_2_SMQ", "TimesLost10LbsOrMoreToLoseWeight"),
)
UNKNOWN_TEXTS = ("Refused", "Don't Know", "Don't know")
#: "refused" and "don't know" by column, from the survey's codebooks; elsewhere such numbers are measurements
_DAYS = (666666, 777777, 999999)
UNKNOWN_NUMBERS: Mapping[str, tuple[int, ...]] = {
    **dict.fromkeys(("AgeStoppedBreastfeedingdays", "AgeFirstFedFormuladays", "AgeStoppedReceivingFormuladays"), _DAYS),
    **dict.fromkeys(("AgeStartedOtherFoodbeverage", "AgeFirstFedMilkdays"), _DAYS),
    **dict.fromkeys(("OfTimesweekGetSchoolLunch", "OfTimesweekGetSchoolBreakfast"), (7777, 9999)),
    **dict.fromkeys(("OfMealsNotHomePrepared", "OfMealsFromFastFoodOrPizzaPlace"), (7777, 9999)),
    **dict.fromkeys(("OfReadytoeatFoodsInPast30Days", "OfFrozenMealspizzaInPast30Days"), (7777, 9999)),
    **dict.fromkeys(("CurrentSelfreportedHeightInches", "CurrentSelfreportedWeightPounds"), (7777, 9999)),
    **dict.fromkeys(("MinutesSedentaryActivity", "HowLongWereYouAbleToStopSmoking"), (7777, 9999)),
    **dict.fromkeys(("AgeWhenToldYouHadHeartAttack", "AgeWhenToldYouHadAStroke"), (77777, 99999)),
    "Age1StCancerMcq230ADiagnosed": (77777, 99999),
    **dict.fromkeys(("1StCancerWhatKindWasIt", "DaysSmokedCigsDuringPast30Days"), (77, 99)),
    "DaysSmokedCigarettesLast5Days": (7, 9, 77, 99),
    **dict.fromkeys(("DaysUsedMarijuanaOrHashishmonth", "OfDaysUsedCocainemonth", "OfDaysUsedHeroinmonth"), (777, 999)),
    **dict.fromkeys(("DaysUsedMethamphetaminemonth", "TimesStoppedSmokingCigarettes"), (777, 999)),
    **dict.fromkeys(("CigarettesSmokedPerDay", "AvgCigarettesdayDuringPast30Days"), (777, 999)),
    **dict.fromkeys(("AgeStartedSmokingCigarettesRegularly", "WhatWasYourLastA1CLevel"), (777, 999)),
    "AgeWhenFirstToldYouHadDiabetes": (666, 777, 999),
}
#: "more than 21" and "more than 90" by column, which stand for the next number
ABOVE: Mapping[str, tuple[int, int]] = {
    **dict.fromkeys(("OfMealsNotHomePrepared", "OfMealsFromFastFoodOrPizzaPlace"), (5555, 22)),
    **dict.fromkeys(("OfReadytoeatFoodsInPast30Days", "OfFrozenMealspizzaInPast30Days"), (6666, 91)),
}
SYSTOLIC = tuple(f"SystolicBloodPres{n}RdgMmHg" for n in ("1St", "2Nd", "3Rd"))
PHQ9 = (
    *("HaveLittleInterestInDoingThings", "FeelingDownDepressedOrHopeless", "TroubleSleepingOrSleepingTooMuch"),
    *("FeelingTiredOrHavingLittleEnergy", "PoorAppetiteOrOvereating", "FeelingBadAboutYourself"),
    *("TroubleConcentratingOnThings", "MovingOrSpeakingSlowlyOrTooFast", "ThoughtYouWouldBeBetterOffDead"),
)
NO_NUMBER = 1e-70  # below it: what a zero of the survey's own file format became on its way


class Nhanes(UserFiles):
    """Reads the combined table of NHANES 2017-2018 as the Python package ``nhanes`` gives it: one row a person.

    The questionnaires' codes for "refused" and "don't know" (7777, 9999, ... or words) become missing, zeros that
    were written as 5e-79 become zero, and two columns are added: ``systolic``, the mean of up to three readings in
    mmHg, and ``phq9``, the sum of the nine items of the depression score, 0 to 27, where all nine were answered.

    Source: Centers for Disease Control and Prevention, National Center for Health Statistics; table by R. Poldrack.
    """

    name: ClassVar[str] = "nhanes"
    home: ClassVar[str] = "https://www.cdc.gov/nchs/nhanes/"
    wanted: ClassVar[Mapping[str, tuple[str, ...]]] = {"persons": ("NHANES_data_*.tsv",)}
    user = item = time = None
    columns = None  # those of the file, which differ by the survey's years
    version = 1

    def read(self, raw: Raw, scratch: Path, say: Say = print) -> Table:
        """All persons in the order of the file.

        Args:
            raw: what ``acquire`` gave.
            scratch: an empty folder for intermediate files.
            say: takes one line for people.

        Returns:
            the file's columns, ``SEQN`` being the person's number, and ``systolic`` and ``phq9``.

        Raises:
            DataError: the file is missing, has a line out of format, lacks a column that a score is made of, or names
                a person twice.
        """
        file = one_file(self.located(raw)["persons"], "the table of persons")
        names = [name.strip('"') for name in first_line(file).split("\t")]
        missing = [name for name in ("SEQN", *SYSTOLIC, *PHQ9) if name not in names]
        if missing:
            raise DataError(f"{file}, line 1: there is no column {', '.join(missing)}; give the table of {self.name}")
        texts = [name for name in names if name in TEXTS]
        numbers = [name for name in names if name not in (*TEXTS, "SEQN")]
        types = {"SEQN": "float", **dict.fromkeys(texts, "text"), **dict.fromkeys(numbers, "float")}
        table = read_table([file], scratch, format="tsv", types=types, say=say)
        frame = table.frame.with_columns(
            pl.col("SEQN").cast(pl.Int64),
            *(pl.when(~pl.col(name).is_in(UNKNOWN_TEXTS)).then(pl.col(name)).alias(name) for name in texts),
            *(_number(name) for name in numbers),
        )
        twice = frame.group_by("SEQN").len().filter(pl.col("len") > 1).sort("SEQN").head(1).collect()
        if twice.height:
            raise DataError(f"{file}: person {twice[0, 0]} (SEQN) has {twice[0, 1]} rows; leave one of them in")
        frame = frame.with_columns(
            systolic=pl.mean_horizontal(SYSTOLIC), phq9=pl.sum_horizontal(PHQ9, ignore_nulls=False)
        )
        return Table(frame, table.account, table.notes)


def _number(name: str) -> pl.Expr:
    """A column of numbers without its codes."""
    value = pl.col(name)
    if name in ABOVE:
        code, stands_for = ABOVE[name]
        value = pl.when(value == code).then(float(stands_for)).otherwise(value)
    if name in UNKNOWN_NUMBERS:
        value = pl.when(~value.is_in([float(code) for code in UNKNOWN_NUMBERS[name]])).then(value)
    return pl.when(value.abs() < NO_NUMBER).then(0.0).otherwise(value).alias(name)
