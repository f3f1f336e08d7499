"""Dialogues: turns, scores, acts, emotions, and what a row may know."""

import random
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samples import dialogues as sample
from taskloom.data.readers.dialogues import Dialogues
from taskloom.data.table import Table
from taskloom.errors import ConfigError, DataError

LINES = [
    "SYSTEM\tWhat do you like?\tOTHER\t",
    "USER\tSpy films\tENTITY_PREFERENCE+MOVIE_GENRE_OR_CATEGORY\t3,4,4",
    'USER\tand "Léon"\tENTITY_NAME+MOVIE_OR_SERIES,ENTITY_OTHER+PERSON\t2,3',
    "SYSTEM\tWhy?\tOTHER\t",
    "SYSTEM\t\tOTHER\t",
    "USER\t\tOTHER\t5",
    "SYSTEM\tBye\tOTHER\t",
    "USER\tOVERALL\tOTHER\t4,4,5,5",
]
NEXT = ["USER\tHello\t\t3,3,3", "USER\tOVERALL\t\t1,2"]


def write(folder: Path, ccpe: list[str], redial: list[str] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "CCPE.txt").write_text("\n" + "\n".join([*ccpe, ""]), encoding="utf-8")
    if redial is not None:
        (folder / "ReDial.txt").write_text("\n" + "\n".join([*redial, ""]), encoding="utf-8")
    return folder


def read(folder: Path, reader: Dialogues | None = None) -> Table:
    reader = reader or Dialogues()
    raw = reader.acquire(folder, folder / "raw", say=lambda line: None)
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    reader.files(raw)
    return reader.read(raw, scratch, say=lambda line: None)


def rows(folder: Path, reader: Dialogues | None = None) -> list[dict]:
    return read(folder, reader).frame.collect().to_dicts()


def test_a_row_is_a_turn_of_the_user_with_what_came_before(tmp_path):
    found = rows(write(tmp_path, [*LINES, "", *NEXT]))
    assert [(row["dialogue"], row["turn"], row["text"], row["system_text"]) for row in found] == [
        ("CCPE-1", 2, "Spy films", "What do you like?"),
        ("CCPE-1", 3, 'and "Léon"', "What do you like?"),
        ("CCPE-1", 6, "", ""),  # the system's last words were none
        ("CCPE-2", 1, "Hello", ""),  # and not those of the dialogue before
    ]
    assert {row["table"] for row in found} == {"dialogues"}
    assert tuple(found[0]) == Dialogues.columns


def test_an_act_is_its_parts(tmp_path):
    found = rows(write(tmp_path, LINES, NEXT))
    acts = [{name.removeprefix("act_") for name, value in row.items() if name[:4] == "act_" and value} for row in found]
    assert acts == [{"prefers", "genre"}, {"names", "title", "other_of_it", "person"}, {"no_entity"}, set()]
    assert [row["act_names"] for row in found] == [0, 1, 0, None]  # ReDial has none


def test_annotators_become_one_score_and_its_noise(tmp_path):
    found = rows(write(tmp_path, LINES))
    assert [row["satisfaction"] for row in found] == [4, 3, 5]  # 3.67, 2.5, 5
    assert [row["annotators"] for row in found] == [3, 2, 1]
    assert found[0]["mean_score"] == pytest.approx(11 / 3)
    assert found[0]["spread"] == pytest.approx((2 / 3 / 2) ** 0.5)
    assert found[0]["noise"] == pytest.approx((2 / 3 / 2 / 3) ** 0.5)
    assert found[1]["spread"] == pytest.approx(0.5**0.5)
    assert found[2]["spread"] is None is found[2]["noise"]  # one annotator tells nothing of the spread
    skewed = write(tmp_path / "skewed", ["USER\ta\t\t2,2,2,2,5,5", "USER\tb\t\t1,1,5"])
    assert [row["satisfaction"] for row in rows(skewed)] == [3, 2]
    assert [row["satisfaction"] for row in rows(skewed, Dialogues("median"))] == [2, 1]


def test_the_whole_dialogue_is_scored_on_its_last_user_turn(tmp_path):
    found = rows(write(tmp_path, [*LINES, "", "USER\tOVERALL\t\t3,3", "USER\tHi\t\t2,2"]))
    assert [row["whole"] for row in found] == [None, None, 5, None, None]  # 4.5; the other one's is no last line
    assert found[2]["whole_noise"] == pytest.approx((1 / 3 / 4) ** 0.5)
    assert [row["text"] for row in found[3:]] == ["OVERALL", "Hi"]


def test_every_line_is_accounted_for(tmp_path):
    account = read(write(tmp_path, [*LINES, "", "", *NEXT], [*NEXT, "", "SYSTEM\tHi\t\t"])).account
    assert account.read == len(LINES) + 2 * len(NEXT) + 1
    assert list(account.dropped.values()) == [3, 5]
    assert account.kept == 5
    assert account.refused == 0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_no_later_line_influences_a_row(tmp_path_factory, seed):
    """Whatever follows a turn, its row's inputs stay; only the score of the whole belongs to the last."""
    g = random.Random(seed)
    lines = sample.dialogue(g, True).splitlines()[:-1]
    cut = g.randint(1, len(lines))
    others = sample.dialogue(g, True).splitlines()
    whole, cut_short = (
        rows(write(tmp_path_factory.mktemp("d"), kept)) for kept in (lines, [*lines[:cut], *others, "", *others])
    )
    early = [row for row in whole if row["turn"] <= cut]
    assert early == [row | {"whole": None, "whole_noise": None} for row in cut_short[: len(early)]]


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("USER\tHi\tOTHER", r"CCPE.txt, line 3: 3 fields between tabs instead of 4 .*'USER\\tHi\\tOTHER'"),
        ("user\tHi\tOTHER\t3", "line 3: the role is 'user', not USER or SYSTEM"),
        ("USER\tHi\tOTHER\t", "line 3: the scores are '', not whole numbers from 1 to 5"),
        ("USER\tHi\tOTHER\t3,6", "the scores are '3,6'"),
        ("USER\tHi\tENTITY_NAM+PERSON\t3", "the act 'ENTITY_NAM' is none of ENTITY_NAME, "),
    ],
)
def test_a_malformed_line_is_refused_or_counted(tmp_path, line, match):
    folder = write(tmp_path, [LINES[0], line, *LINES[1:]])
    with pytest.raises(DataError, match=f"1 of 9 lines is malformed, more than data.reader.tolerate=0 .*{match}"):
        read(folder)
    lenient = read(folder, Dialogues(tolerate=0.2))
    assert lenient.account.refused == 1
    assert "line 3" in lenient.account.refusals[0]
    assert lenient.account.kept == lenient.frame.collect().height == 3


def test_files_that_are_no_corpus_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"data.source: .* holds no CCPE.txt .*user-satisfaction-simulation"):
        read(tmp_path)
    (tmp_path / "CCPE.txt").write_text("\n\n")
    with pytest.raises(DataError, match=r"CCPE.txt is empty"):
        read(tmp_path)
    (tmp_path / "CCPE.txt").write_bytes("\nUSER\tLéon\t\t3\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"CCPE.txt, line 2: not UTF-8"):
        read(tmp_path)
    with pytest.raises(ConfigError, match=r"data.reader.satisfaction must be mean or median, got 'majority'"):
        Dialogues("majority")


def test_emotions_are_rows_of_their_own(tmp_path):
    folder = write(tmp_path, LINES)
    path = folder / "moods.jsonl"
    path.write_text(
        '{"said": "Oh no", "mood": "fear", "id": 1}\n{"said": "Great", "mood": " joy", "id": 2}\n'
        '{"said": "Oh no", "mood": "anger", "id": 3}\n{"said": null, "mood": "joy", "id": 4}\n'
        '{"said": "Well", "mood": "", "id": 5}\n'
    )
    table = read(folder, Dialogues(emotions=str(path), emotion_text="said", emotion_label="mood"))
    frame = table.frame.collect()
    assert frame["table"].to_list() == ["dialogues"] * 3 + ["emotions"] * 3
    assert frame["emotion"].to_list()[3:] == ["fear", "joy", "anger"]
    assert frame["emotion_code"].to_list() == [None] * 3 + [1, 2, 0]
    assert frame["dialogue"].to_list()[3:] == ["emotions-1", "emotions-2", "emotions-1"]  # never in two parts
    others = frame[3:].select(pl.exclude("table", "corpus", "dialogue", "text", "emotion", "emotion_code"))
    assert others.null_count().sum_horizontal().item() == others.width * 3
    assert table.account.dropped["no text or no emotion"] == 2
    assert table.account.kept == 6
    assert table.notes == ["emotion_code: 0 anger, 1 fear, 2 joy"]


def test_emotions_that_are_not_there_are_named(tmp_path):
    folder = write(tmp_path, LINES)
    with pytest.raises(DataError, match=r"data.reader.emotions: there is no file .*moods.csv; give one, or null"):
        read(folder, Dialogues(emotions=str(folder / "moods.csv")))
    (folder / "moods.csv").write_text("text,mood\nhello,joy\n")
    with pytest.raises(DataError, match=r"moods.csv: there is no column 'emotion'; it has text, mood"):
        read(folder, Dialogues(emotions=str(folder / "moods.csv")))


def test_the_bytes_of_the_emotions_count(tmp_path):
    overrides = sample.write(tmp_path)
    reader = Dialogues(emotions=overrides[1].partition("=")[2])
    raw = reader.acquire(tmp_path, tmp_path, say=lambda line: None)
    assert [path.name for path in reader.files(raw)] == ["CCPE.txt", "ReDial.txt", "emotions.csv"]


def test_where_the_emotions_lie_does_not_name_the_data(tmp_path):
    here, there = Dialogues(emotions=str(tmp_path / "a.csv")), Dialogues(emotions=str(tmp_path / "b" / "a.csv"))
    assert here.settings == there.settings != Dialogues().settings
    assert Dialogues("median").settings != Dialogues().settings


def test_the_sample_has_the_quirks_of_the_real_files(tmp_path):
    overrides = sample.write(tmp_path)
    assert overrides[0] == f"data.source={tmp_path}"
    frame = read(tmp_path).frame.collect()
    assert 100 < len(frame) < 600
    assert frame["text"].str.contains('"', literal=True).any()
    assert (frame["text"] == "").any()


def test_the_real_files(shared_data):
    reader = Dialogues()
    raw = reader.acquire(shared_data / "uss-ccpe-redial", shared_data, say=lambda line: None)
    table = reader.read(raw, shared_data, say=lambda line: None)  # nothing is written without emotions
    frame = table.frame.collect()
    assert table.account.read == 12_436 + 22_458
    assert table.account.refused == 0
    assert frame["corpus"].value_counts().sort("corpus").rows() == [("CCPE", 6860 - 500), ("ReDial", 11_806 - 1000)]
    assert frame["dialogue"].n_unique() == frame["whole"].count() == 1500
    assert frame["satisfaction"].value_counts().sort("satisfaction").rows() == [
        (1, 5),
        (2, 679),
        (3, 13_782),
        (4, 2667),
        (5, 33),
    ]
    assert frame["act_names"].count() == 6360
    assert frame["act_no_entity"].sum() == 963
