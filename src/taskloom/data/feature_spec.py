"""One feature as a data config describes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

from taskloom.errors import ConfigError
from taskloom.ranges import NonNegativeInt, PositiveInt
from taskloom.schema import Side

FeatureKind = Literal["categorical", "bag", "dense", "text", "time", "asof", "history", "group"]
Unit = Literal["s", "ms", "us", "ns"]
TIME_PARTS = ("hour", "weekday", "hour_weekday", "day", "week", "month", "year")
TAKES = ("mean", "count", "sum")
#: keys beside kind, side, column and known that mean something for a kind
KEYS: dict[str, tuple[str, ...]] = {
    "categorical": ("min_count",),
    "bag": ("min_count", "separator", "width"),
    "dense": ("log",),
    "text": ("buckets", "words", "characters", "width"),
    "time": ("unit", "parts", "min_count"),
    "asof": ("by", "of", "take", "log"),
    "history": ("of", "length", "where"),
    "group": (),
}


@dataclass(frozen=True)
class FeatureSpec:
    """One feature as the data config describes it.

    Args:
        name: its key in ``data.features``.
        kind: ``categorical``; ``bag`` (a column of lists, or text with a separator); ``dense``; ``text`` (hashed
            n-grams in a bag); ``time`` (calendar parts, each a categorical feature); ``asof`` (a statistic of the
            earlier rows with the same key); ``history`` (the user's earlier events); ``group`` (what grouped metrics
            go by).
        side: ``user``, ``item`` or ``context``.
        column: a column, or an SQL expression over the columns; the feature's own name where left out.
        known: the feature is known before the outcome although a target is computed from the same column.
        min_count: a value with fewer training rows than this is unknown.
        separator: of a bag that comes as one text.
        width: ids in a bag at most; None takes the longest bag of training.
        log: dense: log1p of the size, the sign kept, before scaling.
        buckets: text: ids that n-grams are hashed to.
        words: text: n-grams of words, from and to; empty for none.
        characters: text: n-grams of the characters within words, from and to; empty for none.
        unit: time: of a number, counted from 1970.
        parts: time: which of hour, weekday, hour_weekday, day, week, month, year.
        by: asof: the key, a column or an SQL expression.
        of: asof: what is averaged or summed, a column or an SQL expression; history: categorical features of an
            event.
        take: asof: ``mean``, ``count`` or ``sum``.
        length: history: events at most; 0 switches it off.
        where: history: only events for which this SQL expression is true.
    """

    name: str
    kind: FeatureKind
    side: Side = "context"
    column: str = ""
    known: bool = False
    min_count: PositiveInt = 1
    separator: str | None = None
    width: PositiveInt | None = None
    log: bool = False
    buckets: PositiveInt = 4096
    words: Sequence[PositiveInt] = (1, 1)
    characters: Sequence[PositiveInt] = ()
    unit: Unit = "s"
    parts: Sequence[str] = ("hour", "weekday")
    by: str = ""
    of: str | Sequence[str] = ""
    take: Literal["mean", "count", "sum"] = "mean"
    length: NonNegativeInt = 50
    where: str = ""

    def __post_init__(self) -> None:
        where = f"data.features.{self.name}"
        for key, value, allowed in (
            ("kind", self.kind, get_args(FeatureKind)),
            ("side", self.side, get_args(Side)),
            ("unit", self.unit, get_args(Unit)),
            ("take", self.take, TAKES),
        ):
            if value not in allowed:
                raise ConfigError(f"{where}.{key} must be one of {', '.join(allowed)}, got {value!r}")
        if not isinstance(self.min_count, int) or self.min_count < 1:
            raise ConfigError(f"{where}.min_count must be a whole number >= 1, got {self.min_count!r}")
        for key in ("words", "characters", "parts"):
            object.__setattr__(self, key, tuple(getattr(self, key) or ()))
        if isinstance(self.of, Sequence) and not isinstance(self.of, str):
            object.__setattr__(self, "of", tuple(self.of))
        self._check_kind(where)

    def _check_kind(self, where: str) -> None:
        """What each kind asks for."""
        if self.kind == "text":
            for key in ("words", "characters"):
                given = getattr(self, key)
                if given and not (len(given) == 2 and 1 <= given[0] <= given[1]):
                    raise ConfigError(
                        f"{where}.{key} must be two whole numbers, from and to, such as [1, 2], got {list(given)}"
                    )
            if not (self.words or self.characters):
                raise ConfigError(f"{where}: a text feature needs words or characters; set words: [1, 2]")
        if self.kind == "time":
            for part in self.parts:
                if part not in TIME_PARTS:
                    raise ConfigError(f"{where}.parts: must be of {', '.join(TIME_PARTS)}, got {part!r}")
        if self.kind == "asof":
            if not self.by:
                raise ConfigError(f"{where}: an asof feature needs a key; set {where}.by=<column>")
            if not isinstance(self.of, str) or (not self.of and self.take != "count"):
                raise ConfigError(f"{where}.of must be the column or SQL expression to take the {self.take} of")
        if self.kind == "history" and (isinstance(self.of, str) or not self.of):
            raise ConfigError(f"{where}.of must be a list of categorical features, such as [item]")

    @property
    def expression(self) -> str:
        """The column or SQL expression that its values come from."""
        return self.column or self.name

    @property
    def stored(self) -> Literal["categorical", "bag", "dense"] | None:
        """Which tensor of a batch holds it; None for a history and a group."""
        if self.kind in ("categorical", "time"):
            return "categorical"
        if self.kind in ("bag", "text"):
            return "bag"
        return "dense" if self.kind in ("dense", "asof") else None

    def expanded(self) -> list["FeatureSpec"]:
        """The features that it stands for: a time is one a part.

        Example:
            >>> [spec.name for spec in FeatureSpec("at", "time", parts=["hour", "month"]).expanded()]
            ['at_hour', 'at_month']
        """
        if self.kind != "time":
            return [self]
        column = self.expression
        return [replace(self, name=f"{self.name}_{part}", column=column, parts=(part,)) for part in self.parts]


def check_keys(where: str, section: Mapping[str, Any]) -> None:
    """Refuses a key that means nothing for the section's kind.

    Raises:
        ConfigError: such as ``separator`` for a dense feature.
    """
    kind = section.get("kind")
    if kind not in KEYS:
        return
    plain = ("kind", "side", "column", "known")
    known = {field.name for field in fields(FeatureSpec)}
    for key in section:
        if key in known and key not in plain and key not in KEYS[kind]:
            takes = ", ".join(KEYS[kind]) or "none beside column"
            raise ConfigError(
                f"{where}.{key}: a {kind} feature has no such key; its own keys are {takes}; leave it out"
            )
