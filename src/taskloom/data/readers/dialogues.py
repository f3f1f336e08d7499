"""Dialogues of people with an assistant: what a turn does, how content the person is, and which emotion it shows."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, ClassVar, Literal

import polars as pl

from taskloom.data.acquire import Raw, Say
from taskloom.data.readers.dialogue_turns import ACTS, Corpus, read_corpus
from taskloom.data.readers.one_file import one_file
from taskloom.data.readers.parts import stacked
from taskloom.data.readers.user_files import UserFiles
from taskloom.data.table import Account, Table
from taskloom.data.text_table import read_table
from taskloom.errors import ConfigError, DataError
from taskloom.ranges import Share

Take = Literal["mean", "median"]
SHOWN = 5  # malformed lines that are shown
COLUMNS: Mapping[str, type[pl.DataType]] = {
    "corpus": pl.String,
    "dialogue": pl.String,
    "turn": pl.Int32,
    "text": pl.String,
    "system_text": pl.String,
    **{f"act_{name}": pl.Int8 for name in ACTS.values()},
    "satisfaction": pl.Float32,
    "mean_score": pl.Float32,
    "spread": pl.Float32,
    "annotators": pl.Int32,
    "noise": pl.Float32,
    "whole": pl.Float32,
    "whole_noise": pl.Float32,
    "emotion": pl.String,
    "emotion_code": pl.Int32,
}


class Dialogues(UserFiles):
    r"""Reads CCPE and ReDial as User Satisfaction Simulation (USS) annotated them: one row a turn of the user.

    A row knows its own turn and what came before it in the dialogue; acts, scores and emotion are labels, given by
    annotators afterwards. Columns:

    * ``dialogue``, ``turn`` (its place in the dialogue from 1, turns of the system counted), ``text``, and
      ``system_text``, the last thing the system said before (empty where it has not spoken yet).
    * ``act_<part>``: 0 or 1 for each part of the act, such as ``act_prefers`` and ``act_genre`` of
      ENTITY_PREFERENCE+MOVIE_GENRE_OR_CATEGORY; null in ReDial, which has no acts.
    * ``satisfaction``: the mean or the median of the annotators' scores, rounded to 1 to 5, halves upwards;
      ``mean_score``, not rounded; ``annotators``, how many; ``spread``, the standard deviation s of their scores
      (n - 1 form); ``noise``, :math:`s / \sqrt n`, that of their mean.
    * ``whole``, ``whole_noise``: the same for the dialogue as a whole (the rows OVERALL, which are no turns), on its
      last user turn alone.
    * ``emotion``, ``emotion_code``: of the rows of ``emotions``, another table put under this one: column ``table``
      tells them apart (dialogues, emotions). The code is the label's place among the labels in order of the alphabet.
      Rows with the same text have the same ``dialogue``, so that a text is never in two parts.

    Source: Sun et al. 2021, "Simulating user satisfaction for the evaluation of task-oriented dialogue systems".

    Args:
        satisfaction: ``mean`` or ``median`` of the annotators' scores.
        emotions: a file (CSV, TSV, JSON lines or Parquet) of texts with an emotion, from any other corpus; None
            leaves emotions out.
        emotion_text: its column of texts.
        emotion_label: its column of emotions, in words or codes.
        tolerate: share of malformed lines up to which they are counted, said and left out.
    """

    name: ClassVar[str] = "dialogues"
    home: ClassVar[str] = "https://github.com/sunnweiwei/user-satisfaction-simulation"
    wanted: ClassVar[Mapping[str, tuple[str, ...]]] = {"CCPE": ("CCPE.txt",), "ReDial": ("ReDial.txt",)}
    optional: ClassVar[Sequence[str]] = ("ReDial",)
    user = item = time = None
    columns = (*COLUMNS, "table")
    version = 1

    def __init__(
        self,
        satisfaction: Take = "mean",
        emotions: str | None = None,
        emotion_text: str = "text",
        emotion_label: str = "emotion",
        tolerate: Share = 0.0,
    ) -> None:
        if satisfaction not in ("mean", "median"):
            raise ConfigError(f"data.reader.satisfaction must be mean or median, got {satisfaction!r}")
        self.satisfaction, self.tolerate = satisfaction, tolerate
        self.emotions = None if emotions is None else Path(emotions).expanduser()
        self.emotion_text, self.emotion_label = emotion_text, emotion_label

    @property
    def settings(self) -> dict[str, Any]:
        """The options that shape the rows; where the emotions lie is none, their bytes count."""
        names = [self.emotion_text, self.emotion_label] if self.emotions else None
        return {"satisfaction": self.satisfaction, "tolerate": self.tolerate, "emotions": names}

    def files(self, raw: Raw) -> list[Path]:
        """The corpora, and the file of emotions."""
        if self.emotions and not self.emotions.is_file():
            raise DataError(
                f"data.reader.emotions: there is no file {self.emotions}; give one, or null for no emotions"
            )
        return [*super().files(raw), *([self.emotions] if self.emotions else [])]

    def read(self, raw: Raw, scratch: Path, say: Say = print) -> Table:
        """The user's turns, corpus by corpus in the order of the files, then the texts with an emotion.

        Raises:
            DataError: a line is malformed, or a file lacks a column.
        """
        located = self.located(raw)
        corpora = {role: read_corpus(one_file(paths, role)) for role, paths in located.items() if paths}
        rows = [row for role, corpus in corpora.items() for row in _rows(role, corpus, self.satisfaction)]
        frame = pl.DataFrame(rows, schema=COLUMNS).lazy()
        tables = {"dialogues": Table(frame, self._account(list(corpora.values()), len(rows), say))}
        if self.emotions:
            tables["emotions"] = self._emotions(self.emotions, scratch, say)
        return stacked(tables, "table")

    def _account(self, corpora: Sequence[Corpus], kept: int, say: Say) -> Account:
        refusals = [text for corpus in corpora for text in corpus.refusals]
        read = sum(corpus.read for corpus in corpora)
        if len(refusals) > self.tolerate * read:
            raise DataError(
                f"{len(refusals):,} of {read:,} lines {'is' if len(refusals) == 1 else 'are'} malformed, more than "
                f"data.reader.tolerate={self.tolerate:g} allows: {'; '.join(refusals[:SHOWN])}; correct the file, or "
                "raise data.reader.tolerate"
            )
        for text in refusals[:SHOWN]:
            say(f"left out: {text}")
        whole = sum(len(scores) > 0 for corpus in corpora for scores in corpus.overall)
        account = Account(read, len(refusals), tuple(refusals[:SHOWN]))
        account = account.without("OVERALL: scores of a whole dialogue, put on its last user turn", whole)
        return account.without("a turn of the system: what user turns answer", account.kept - kept)

    def _emotions(self, path: Path, scratch: Path, say: Say) -> Table:
        text, label = self.emotion_text, self.emotion_label
        table = read_table([path], scratch, only=[text, label], types={text: "text", label: "text"},
                           tolerate=self.tolerate, say=say)  # fmt: skip
        named = table.frame.select(pl.col(text).alias("text"), pl.col(label).str.strip_chars().alias("emotion"))
        known = named.filter(pl.col("text").is_not_null() & pl.col("emotion").str.len_chars().gt(0)).collect()
        labels = known["emotion"].unique().sort().to_list()
        first = pl.col("row").min().over("text")
        frame = known.with_row_index("row", 1).with_columns(
            pl.lit("emotions").alias("corpus"),
            pl.format("emotions-{}", first).alias("dialogue"),
            pl.col("emotion").replace_strict(labels, range(len(labels)), return_dtype=pl.Int32).alias("emotion_code"),
        )
        missing = [pl.lit(None, kind).alias(name) for name, kind in COLUMNS.items() if name not in frame.columns]
        account = table.account.without("no text or no emotion", table.account.kept - len(frame))
        said = ", ".join(f"{code} {name}" for code, name in enumerate(labels))
        notes = [*table.notes, f"emotion_code: {said}"]
        return Table(frame.with_columns(missing).select(list(COLUMNS)).lazy(), account, notes)


def _rows(corpus: str, read: Corpus, take: Take) -> Iterator[dict[str, Any]]:
    """The user's turns; each from its own line and earlier ones of its dialogue."""
    for number, (turns, overall) in enumerate(zip(read.dialogues, read.overall, strict=True), 1):
        system, users = "", [place for place, line in enumerate(turns) if line.user]
        for place, line in enumerate(turns):
            if not line.user:
                system = line.text
                continue
            row: dict[str, Any] = dict.fromkeys(COLUMNS)
            row |= {"corpus": corpus, "dialogue": f"{corpus}-{number}", "turn": place + 1}
            row |= {"text": line.text, "system_text": system}
            row |= {f"act_{name}": int(part in line.act) for part, name in ACTS.items() if line.act}
            mean, spread, noise = _summary(line.scores)
            row |= {"satisfaction": rounded(line.scores, take), "mean_score": mean, "spread": spread, "noise": noise}
            row["annotators"] = len(line.scores)
            if overall and place == users[-1]:
                row |= {"whole": rounded(overall, take), "whole_noise": _summary(overall)[2]}
            yield row


def rounded(scores: Sequence[int], take: Take) -> float:
    """The mean or the median of scores as a whole number, halves upwards.

    Example:
        >>> rounded([3, 4], "mean"), rounded([2, 2, 5], "mean"), rounded([2, 2, 5], "median")
        (4.0, 3.0, 2.0)
    """
    middle = sum(scores) / len(scores) if take == "mean" else median(scores)
    return float(int(middle + 0.5))


def _summary(scores: Sequence[int]) -> tuple[float, float | None, float | None]:
    """Mean, deviation, and the deviation of the mean; one annotator tells nothing of the latter two."""
    n = len(scores)
    mean = sum(scores) / n
    spread = (sum((score - mean) ** 2 for score in scores) / (n - 1)) ** 0.5 if n > 1 else None
    return mean, spread, None if spread is None else spread / n**0.5
