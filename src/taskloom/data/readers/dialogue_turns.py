"""Lines of a User Satisfaction Simulation corpus: turns with their act and their annotators' scores."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from taskloom.data.text_sources import opened
from taskloom.errors import DataError

#: the parts of an act, as the corpora write them and as columns are named
ACTS = {
    "ENTITY_NAME": "names",
    "ENTITY_PREFERENCE": "prefers",
    "ENTITY_DESCRIPTION": "describes",
    "ENTITY_OTHER": "other_of_it",
    "MOVIE_OR_SERIES": "title",
    "MOVIE_GENRE_OR_CATEGORY": "genre",
    "PERSON": "person",
    "SOMETHING_ELSE": "something_else",
    "OTHER": "no_entity",
}
OVERALL = "OVERALL"
_SCORES = re.compile(r"[1-5](,[1-5])*")


@dataclass(frozen=True)
class Line:
    """One line of a corpus.

    Args:
        user: whether it is the user's.
        text: what was said.
        act: its parts; empty where the corpus has no acts.
        scores: of the annotators, 1 to 5; empty for the system.
    """

    user: bool
    text: str
    act: frozenset[str]
    scores: tuple[int, ...]


@dataclass
class Corpus:
    """A corpus as it was read.

    Args:
        dialogues: the turns of each, in order, those of the system too.
        overall: the scores of each dialogue as a whole; empty where it has none.
        read: lines that are not blank.
        refusals: malformed lines in words, each with file and line.
    """

    dialogues: list[list[Line]]
    overall: list[tuple[int, ...]]
    read: int
    refusals: list[str]


def read_corpus(path: Path) -> Corpus:
    """All dialogues of a file: blank lines stand between them, and the last line may score the whole (OVERALL).

    Raises:
        DataError: the file is empty or not UTF-8.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "CCPE.txt"
        >>> said = ["SYSTEM\\tHello\\tOTHER\\t", "USER\\tHi\\tOTHER\\t3,4", "USER\\tOVERALL\\tOTHER\\t3,3"]
        >>> _ = path.write_text("\\n" + "\\n".join(said))
        >>> corpus = read_corpus(path)
        >>> [line.text for line in corpus.dialogues[0]], corpus.overall, corpus.read
        (['Hello', 'Hi'], [(3, 3)], 3)
    """
    corpus = Corpus([], [], 0, [])
    for block in _blocks(path):
        turns = []
        for number, content in block:
            corpus.read += 1
            try:
                turns.append(_parsed(content))
            except ValueError as error:
                corpus.refusals.append(f"{path}, line {number}: {error}")
        whole = turns.pop() if turns and turns[-1].user and turns[-1].text == OVERALL else None
        corpus.dialogues.append(turns)
        corpus.overall.append(whole.scores if whole else ())
    if not corpus.read:
        raise DataError(f"{path} is empty; get the file again or leave it out")
    return corpus


def _blocks(path: Path) -> Iterator[list[tuple[int, str]]]:
    """The lines of each dialogue, with their numbers."""
    block: list[tuple[int, str]] = []
    with opened(path) as file:
        for number, raw in enumerate(file, 1):
            try:
                content = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                raise DataError(f"{path}, line {number}: not UTF-8 ({error.reason}); get the file again") from error
            if content:
                block.append((number, content))
            elif block:
                yield block
                block = []
    if block:
        yield block


def _parsed(content: str) -> Line:
    """A line of role, text, act and scores between tabs.

    Raises:
        ValueError: it is malformed; says how.
    """
    fields = content.split("\t")
    if len(fields) != 4:
        raise ValueError(f"{len(fields)} fields between tabs instead of 4 (role, text, act, scores): {content[:60]!r}")
    role, text, act, scores = fields
    if role not in ("USER", "SYSTEM"):
        raise ValueError(f"the role is {role!r}, not USER or SYSTEM")
    if role == "USER" and not _SCORES.fullmatch(scores):
        raise ValueError(f"the scores are {scores!r}, not whole numbers from 1 to 5 with commas between them")
    parts = frozenset(re.split(r"[+,]", act)) if act else frozenset()
    if unknown := sorted(parts - ACTS.keys()):
        raise ValueError(f"the act {unknown[0]!r} is none of {', '.join(ACTS)}")
    return Line(role == "USER", text, parts, tuple(map(int, scores.split(","))) if role == "USER" else ())
