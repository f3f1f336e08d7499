"""The loader's ways are measured side by side, on any shape."""

import json
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import loader_speed


def test_a_small_run_names_every_way(capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    sizes = ["--rows=1000", "--batch-size=64", "--rounds=1", "--history=5", "--negatives=2", "--frozen=7", "--block=32"]
    try:
        assert loader_speed.main(sizes) == 0
    finally:
        torch.set_num_threads(threads)
    lines = capsys.readouterr().out.splitlines()
    result = json.loads(lines[-1])
    rates = result["ways"]
    in_batches = {way: rate["rows_in_batches"] for way, rate in rates.items()}
    assert in_batches == {
        "in order": 1,
        "shuffled": 1,
        "in blocks of 32": 1,
        "two tables, equally": 1,
        "history of 5": 1,
        "2 negatives, uniform": 3,
        "2 negatives, by popularity": 3,
        "history and 2 negatives": 3,
        "evaluation, frozen negatives": 8,
    }
    for (way, rate), line in zip(rates.items(), lines[1:], strict=False):
        assert line.startswith(way)
        assert f"{rate['rows_per_s']:,.0f}" in line
        assert rate["rows_per_processor_s"] > 0
    assert (result["rows"], result["history"], result["threads"]) == (1000, 5, 1)


def test_the_rows_are_as_a_store_has_them(tmp_path: Path) -> None:
    loader_speed.write(tmp_path, 2000, 6)
    loader = loader_speed.ways(tmp_path, 512, 50, 3, 64, "cpu")["history and 3 negatives"]()
    columns, extras = loader.columns, loader.extras
    item, user = columns.categorical[:, 5], columns.group
    for batch in loader:
        own = batch.row >= 0
        for row, history, mask in zip(batch.row[own], batch.history[own], batch.history_mask[own], strict=True):
            earlier = item[:row][user[:row] == user[row]][-50:]
            assert history[mask][:, 0].tolist() == earlier.tolist()
        keys = batch.group[~own] * loader_speed.ITEMS + batch.categorical[~own, 5] - 1
        assert not torch.isin(keys[batch.labelled[~own, 0]], extras.negatives.pairs.keys).any()
