"""Census-Income (KDD): US census persons of 1994 and 1995, with what they earn."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import polars as pl

from taskloom.data.acquire import Raw, Say
from taskloom.data.readers.first_line import first_line
from taskloom.data.readers.one_file import one_file
from taskloom.data.readers.parts import stacked
from taskloom.data.readers.user_files import UserFiles
from taskloom.data.table import Table
from taskloom.data.text_table import read_table
from taskloom.errors import DataError

#: the 42 columns in the order and the words of the official names file
FIELDS = (
    *("age", "class_of_worker", "detailed_industry_recode", "detailed_occupation_recode", "education"),
    *("wage_per_hour", "enroll_in_edu_inst_last_wk", "marital_stat", "major_industry_code", "major_occupation_code"),
    *("race", "hispanic_origin", "sex", "member_of_a_labor_union", "reason_for_unemployment"),
    *("full_or_part_time_employment_stat", "capital_gains", "capital_losses", "dividends_from_stocks"),
    *("tax_filer_stat", "region_of_previous_residence", "state_of_previous_residence"),
    *("detailed_household_and_family_stat", "detailed_household_summary_in_household", "instance_weight"),
    *("migration_code_change_in_msa", "migration_code_change_in_reg", "migration_code_move_within_reg"),
    *("live_in_this_house_1_year_ago", "migration_prev_res_in_sunbelt", "num_persons_worked_for_employer"),
    *("family_members_under_18", "country_of_birth_father", "country_of_birth_mother", "country_of_birth_self"),
    *("citizenship", "own_business_or_self_employed", "fill_inc_questionnaire_for_veterans_admin"),
    *("veterans_benefits", "weeks_worked_in_year", "year", "income"),
)
#: all else is a category, although some categories are written as numbers
NUMBERS = (
    *("age", "wage_per_hour", "capital_gains", "capital_losses", "dividends_from_stocks"),
    *("num_persons_worked_for_employer", "weeks_worked_in_year"),
)
ADULT_FIELDS = 15


class CensusIncome(UserFiles):
    """Reads Census-Income (KDD), 199,523 persons for training and 99,762 for test, in the official parts.

    Both files may be plain or gz, and go by their first name (``census-income.data``, ``.test``) or by their
    later one (``census_income_learn.csv``, ``census_income_test.csv``). The instance weight (column 25) says how
    many people a row stands for and is left out. ``?`` and ``NA`` are values like others; rows that repeat an
    earlier one word for word are kept, since they are different people, and counted in the notes.

    Source: US Census Bureau 1994-1995, prepared by Lane and Kohavi; UCI repository, data set 117.
    """

    name: ClassVar[str] = "census_income"
    home: ClassVar[str] = "https://archive.ics.uci.edu/dataset/117/census+income+kdd"
    wanted: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "train": ("census-income.data", "census_income_learn.csv"),
        "test": ("census-income.test", "census_income_test.csv"),
    }
    user = item = time = None
    columns = (*(field for field in FIELDS if field != "instance_weight"), "part")
    version = 1

    def read(self, raw: Raw, scratch: Path, say: Say = print) -> Table:
        """All persons, training rows first, in the order of the files.

        Args:
            raw: what ``acquire`` gave.
            scratch: an empty folder for intermediate files.
            say: takes one line for people.

        Returns:
            ``columns``: the 41 fields without the instance weight, and ``part`` (train or test).

        Raises:
            DataError: a file is missing, is another data set, or has a line out of format.
        """
        tables, notes = {}, []
        for part, files in self.located(raw).items():
            file = one_file(files, f"the {part} part")
            _check_width(file)
            table = read_table(
                [file],
                scratch,
                format="csv",
                columns=FIELDS,
                types={field: "int" if field in NUMBERS else "text" for field in FIELDS},
                null=(),
                quote=None,
                strip=True,
                say=say,
            )
            repeats = _repeats(table.frame)
            if repeats:
                rows = "1 row repeats" if repeats == 1 else f"{repeats:,} rows repeat"
                notes.append(f"{part}: {rows} an earlier one word for word and {'is' if repeats == 1 else 'are'} kept")
            tables[part] = table
        table = stacked(tables)
        return Table(table.frame.drop("instance_weight"), table.account, [*table.notes, *notes])


def _repeats(frame: pl.LazyFrame) -> int:
    """Rows that are equal to an earlier one in all columns."""
    return int(frame.select(pl.len() - pl.struct(pl.all()).hash().n_unique()).collect().item())


def _check_width(file: Path) -> None:
    """Whether the first line has the 42 fields: other sets of almost the same name are about."""
    fields = first_line(file).count(",") + 1
    if fields == ADULT_FIELDS:
        raise DataError(
            f"{file}, line 1: it has 15 fields, so this is UCI Adult ('Census Income'), another data set of the same "
            f"people; Census-Income (KDD) has 42: get it from {CensusIncome.home}"
        )
    if fields != len(FIELDS):
        raise DataError(
            f"{file}, line 1: it has {fields} fields and must have {len(FIELDS)}; give the files of {CensusIncome.home}"
        )
