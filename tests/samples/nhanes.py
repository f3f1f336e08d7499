"""Made-up persons in the layout of the combined NHANES table, with the columns that conf/data/nhanes.yaml uses."""

import random
from pathlib import Path

ZERO = "5.397605346934028e-79"  # what a zero of the survey's file format became
CHOICES = {
    "Gender": ("Female", "Male"),
    "RacehispanicOriginWNhAsian": ("Non-Hispanic White", "Mexican American"),
    "EducationLevelAdults20": ("College graduate or above", "Less than 9th grade", "Don't Know"),
    "MaritalStatus": ("Married", "Never married"),
    "ServedActiveDutyInUsArmedForces": ("0", "1", "Don't Know"),
    "TotalNumberOfPeopleInTheHousehold": ("1", "2", "7 or more people in the Household"),
    "OfChildren5YearsOrYoungerInHh": ("0", "1", "3 or more"),
    "OfChildren617YearsOldInHh": ("0", "1", "3 or more"),
    "OfAdults60YearsOrOlderInHh": ("0", "1"),
    "HowHealthyIsTheDiet": ("Good", "Poor"),
    "Past30DayMilkProductConsumption": ("Never", "Varied"),
    "HowOftenAddSaltToFoodAtTable": ("Rarely", "Very often"),
    "HowOftenDoYouSnore": ("Never", "Frequently - 5 or more nights a week"),
    "TimesLost10LbsOrMoreToLoseWeight": ("Never", "1 to 2"),
    "DoctorToldYouHaveDiabetes": ("0", "0", "1", "Borderline"),
}
YES_NO = (
    *("CoveredByHealthInsurance", "EverBeenToldYouHaveAsthma", "DoctorEverSaidYouHadArthritis"),
    *("HaveSeriousDifficultyHearing", "HaveSeriousDifficultySeeing", "HaveSeriousDifficultyWalking"),
    *("VigorousWorkActivity", "ModerateWorkActivity", "WalkOrBicycle", "TriedToLoseWeightInPastYear"),
    *("VigorousRecreationalActivities", "ModerateRecreationalActivities", "SmokedAtLeast100CigarettesInLife"),
)
NUMBERS = {
    "AnnualFamilyIncome": (2000, 100000),
    "RatioOfFamilyIncomeToPoverty": (0, 5),
    "WeightKg": (30, 140),
    "StandingHeightCm": (100, 200),
    "BodyMassIndexKgm2": (15, 45),
    "WaistCircumferenceCm": (50, 140),
    "60SecPulse30SecPulse2": (50, 110),
    "TotalPercentFat": (12, 50),
    "TrunkPercentFat": (12, 50),
    "EnergyKcal_DR1TOT": (800, 5000),
    "ProteinGm_DR1TOT": (20, 200),
    "CarbohydrateGm_DR1TOT": (50, 500),
    "TotalSugarsGm_DR1TOT": (10, 300),
    "DietaryFiberGm_DR1TOT": (2, 50),
    "TotalFatGm_DR1TOT": (10, 200),
    "TotalSaturatedFattyAcidsGm_DR1TOT": (5, 80),
    "CholesterolMg_DR1TOT": (50, 900),
    "AlcoholGm_DR1TOT": (0, 50),
    "OfMealsNotHomePrepared": (0, 21),
    "OfMealsFromFastFoodOrPizzaPlace": (0, 21),
    "OfReadytoeatFoodsInPast30Days": (0, 90),
    "OfFrozenMealspizzaInPast30Days": (0, 90),
    "DirectHdlcholesterolMgdl": (20, 120),
    "TotalCholesterolMgdl": (100, 300),
    "BloodLeadUgdl": (0.1, 5),
    "BloodMercuryTotalUgl": (0.2, 9),
    "BloodSeleniumUgl": (100, 300),
    "BloodManganeseUgl": (4, 20),
    "SleepHoursWeekdaysOrWorkdays": (3, 12),
    "Glycohemoglobin": (4, 12),
}
READINGS = tuple(f"SystolicBloodPres{n}RdgMmHg" for n in ("1St", "2Nd", "3Rd"))
ITEMS = (
    *("HaveLittleInterestInDoingThings", "FeelingDownDepressedOrHopeless", "TroubleSleepingOrSleepingTooMuch"),
    *("FeelingTiredOrHavingLittleEnergy", "PoorAppetiteOrOvereating", "FeelingBadAboutYourself"),
    *("TroubleConcentratingOnThings", "MovingOrSpeakingSlowlyOrTooFast", "ThoughtYouWouldBeBetterOffDead"),
)
SMOKING = "DoYouNowSmokeCigarettes"


def persons(n: int = 400, seed: int = 23) -> list[dict[str, str]]:
    """Persons by column; an empty text is a missing cell."""
    chance = random.Random(seed)
    people = []
    for number in range(n):
        age = chance.randint(1, 80)
        adult = age >= 18
        person = {"SEQN": f"{93703 + number}.0", "AgeInYearsAtScreening": f"{age}.0"}
        person |= {name: chance.choice(choices) for name, choices in CHOICES.items()}
        person |= {name: f"{chance.randrange(2)}.0" if adult else "" for name in YES_NO}
        person |= {name: f"{chance.uniform(low, high):.2f}" for name, (low, high) in NUMBERS.items()}
        pressure = 100 + age / 2 + chance.gauss(0, 10)
        person |= {name: f"{pressure + chance.gauss(0, 3):.0f}.0" if age >= 8 else "" for name in READINGS}
        mood = chance.random() ** 2
        person |= {name: f"{min(3, int(4 * mood * chance.uniform(0.5, 1.2)))}.0" if adult else "" for name in ITEMS}
        smoked = person["SmokedAtLeast100CigarettesInLife"] == "1.0"
        person[SMOKING] = chance.choice(("Every day", "Some days", "Not at all")) if smoked else ""
        person["OfMealsNotHomePrepared"] = chance.choice((ZERO, "3.0", "5555.0", "7777.0", "9999.0"))
        person["AlcoholGm_DR1TOT"] = chance.choice((ZERO, "14.0"))
        people.append(person)
    return people


def save(people: list[dict[str, str]], folder: Path) -> None:
    """Writes them separated by tabs."""
    lines = ["\t".join(people[0]), *("\t".join(person.values()) for person in people)]
    (folder / "NHANES_data_2017-2018.tsv").write_text("\n".join(lines) + "\n")


def write(folder: Path) -> list[str]:
    """400 persons of 1 to 80 years; adults alone answered most questions."""
    save(persons(), folder)
    return [f"data.source={folder}"]
