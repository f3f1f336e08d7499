"""The smaller sections of a data config: split, negatives, ranking."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from taskloom.errors import ConfigError
from taskloom.ranges import NonNegativeInt, Positive, PositiveInt

SplitKind = Literal["random", "per_user", "leave_last", "global_time", "group", "column"]


@dataclass(frozen=True)
class SplitSpec:
    """How rows are told apart for training, validation and test.

    Args:
        kind: ``random``, ``per_user`` (each user's rows in time, by the ratios), ``leave_last`` (their last rows),
            ``global_time``, ``group`` (whole groups by chance), ``column`` (a column says it).
        ratios: shares of training, validation and test rows.
        seed: of the split alone; the seed of training is another.
        column: group: what must stay together; column: gives train, val, test or the name of a further test set; a
            column or an SQL expression.
        by: column: what stays together where validation is carved out of training; the row itself where left out.
        n: leave_last: rows of a user for test, and as many for validation.
        folds: random and group: cut into so many folds; one is for test, the next for validation.
        fold: which fold is for test, from 0.
        sample: share of the users (of the rows, where the data names none) that all parts keep, chosen by chance and
            the seed: a small set to look for settings on, whose test rows are test rows of the whole, too.
    """

    kind: SplitKind = "random"
    ratios: Sequence[float] = (8, 1, 1)
    seed: NonNegativeInt = 1
    column: str = ""
    by: str = ""
    n: PositiveInt = 1
    folds: PositiveInt | None = None
    fold: NonNegativeInt = 0
    sample: Positive = 1.0

    def __post_init__(self) -> None:
        kinds = ("random", "per_user", "leave_last", "global_time", "group", "column")
        if self.kind not in kinds:
            raise ConfigError(f"data.split.kind must be one of {', '.join(kinds)}, got {self.kind!r}")
        ratios = tuple(self.ratios)
        if len(ratios) != 3 or not all(isinstance(ratio, int | float) and ratio > 0 for ratio in ratios):
            raise ConfigError(
                f"data.split.ratios must be three numbers above 0 (training, validation, test), got {list(ratios)}"
            )
        if not isinstance(self.seed, int) or self.seed < 0:
            raise ConfigError(f"data.split.seed must be a whole number >= 0, got {self.seed!r}")
        object.__setattr__(self, "ratios", ratios)
        if not isinstance(self.sample, int | float) or not 0 < self.sample <= 1:
            raise ConfigError(
                f"data.split.sample is the share of users to keep, above 0 and up to 1; got {self.sample!r}"
            )
        if self.kind in ("group", "column") and not self.column:
            raise ConfigError(f"data.split.kind={self.kind} needs data.split.column: a column or an SQL expression")
        if self.folds is not None:
            if self.kind not in ("random", "group"):
                raise ConfigError(
                    f"data.split.folds goes with kind random or group, not with {self.kind}; leave it out"
                )
            if self.folds < 3:
                raise ConfigError(
                    f"data.split.folds must be at least 3 (one for test, one for validation), got {self.folds}"
                )
            if not 0 <= self.fold < self.folds:
                raise ConfigError(f"data.split.fold must be from 0 to {self.folds - 1}, got {self.fold}")


@dataclass(frozen=True)
class NegativesSpec:
    """Items that a user did not choose, drawn against each row that was observed.

    Args:
        task: whose target is 1 on observed rows and 0 on drawn ones; every other task has no label there.
        per_row: drawn for a training row, anew in each epoch.
        rule: ``uniform`` over the items that exist by then, or ``popularity`` (a random earlier training event's item).
        eval_per_row: drawn once for each row of validation and test, and frozen.
    """

    task: str
    per_row: PositiveInt = 4
    rule: Literal["uniform", "popularity"] = "uniform"
    eval_per_row: PositiveInt = 20

    def __post_init__(self) -> None:
        if self.rule not in ("uniform", "popularity"):
            raise ConfigError(f"data.negatives.rule must be uniform or popularity, got {self.rule!r}")


@dataclass(frozen=True)
class RankingSpec:
    """Ranking of the whole catalogue for each test user, without the items of their training rows.

    Args:
        task: whose predictions rank; its positive test rows are the items to be found.
        at: cut-offs k of NDCG@k, recall@k and MRR@k.
        users: so many users with a positive test row, drawn by ``seed``; None takes all.
        seed: of that draw.
    """

    task: str
    at: Sequence[PositiveInt] = (10,)
    users: PositiveInt | None = 1000
    seed: NonNegativeInt = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", tuple(self.at))
        if not self.at:
            raise ConfigError("data.ranking.at must list cut-offs, such as [10]")
