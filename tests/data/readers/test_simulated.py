from pathlib import Path

import pytest

from taskloom.data.readers.mmoe_study import MMoEStudy
from taskloom.data.readers.simulated import Simulated
from taskloom.data.readers.synthetic import Synthetic
from taskloom.errors import DataError


@pytest.mark.parametrize("reader", [MMoEStudy, Synthetic])
def test_what_is_simulated_has_no_source_and_no_file(reader: type[Simulated], tmp_path: Path) -> None:
    raw = reader().acquire(None, tmp_path)
    assert reader().files(raw) == []
    with pytest.raises(DataError, match=f"data.source=x: {reader.name} simulates its rows and reads no file"):
        reader().acquire("x", tmp_path)


@pytest.mark.parametrize(
    ("reader", "digest"),
    [
        (MMoEStudy(), "56ff02f625891d42"),
        (Synthetic(missing={"click": 0.5}), "579e668895270a11"),
    ],
)
def test_the_digest_of_the_same_options_stays(reader: Simulated, digest: str, tmp_path: Path) -> None:
    assert reader.digest(reader.acquire(None, tmp_path))[:16] == digest
