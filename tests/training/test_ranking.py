"""Whole-catalogue ranking against a loop over every user and item."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from taskloom.data.loader import ColumnLoader, Extras
from taskloom.training.build import make_data, make_module
from taskloom.training.ranking import CatalogueRanking


@pytest.fixture
def job(compose: Callable[..., dict[str, Any]]) -> Callable[..., Any]:
    def make(*overrides: str) -> Any:
        config = compose("tasks=[rating,interact]", "model=hard_sharing", "data.ranking.at=[3,10]", *overrides)
        data = make_data(config)
        data.prepare_data()
        data.setup()
        torch.manual_seed(0)
        return data, make_module(config, data)

    return make


@pytest.mark.parametrize("split", ["random", "global_time"])
def test_it_is_what_a_loop_finds(job: Callable[..., Any], split: str, tmp_path: Path) -> None:
    data, module = job(f"data.split.kind={split}", "data.ranking.users=null", "data.features.history.length=4")
    ranking = CatalogueRanking(data)
    values = ranking.of_model(module)
    item_at = [f.name for f in data.schema.of_kind("categorical")].index("item")
    train, test = data.store.split("train"), data.store.split("test")
    had: dict[int, set[int]] = {}
    for group, ids in zip(train.group.tolist(), train.categorical.tolist(), strict=True):
        had.setdefault(group, set()).add(ids[item_at])
    catalogue = data.store.catalogue()
    ids = catalogue.categorical[:, item_at].tolist()
    rows_alone = replace(test, reach=None, drawn=None)
    extras = Extras(data.store.events())
    plain = next(iter(ColumnLoader(rows_alone, data.task_columns, len(test), extras=extras)))
    times = data.reader.read(data._raw, tmp_path).frame.collect()["timestamp"].to_list()
    ndcg = []
    module.eval()
    for group in sorted(set(test.group.tolist())):
        rows = [i for i, g in enumerate(test.group.tolist()) if g == group]
        if split != "random":  # whose histories hold the items of earlier test rows: the earliest is asked
            rows.sort(key=lambda i: times[int(test.row[i])])
            met = plain.history[rows[0]][plain.history_mask[rows[0]]][:, 0].tolist()
            assert not set(met) & {test.categorical[i, item_at].item() for i in rows}
        wanted = {test.categorical[i, item_at].item() for i in rows}
        n_by_then = int(test.reach[rows[0], 0])
        candidates = [p for p in range(n_by_then) if ids[p] not in had.get(group, set())]
        scores = {}
        if candidates:
            batch = plain.select(torch.tensor([rows[0]] * len(candidates)))
            batch.categorical, batch.bags, batch.dense = catalogue.place(batch, torch.tensor(candidates))
            with torch.no_grad():
                scores = dict(zip(candidates, module.predict(batch)[1].tolist(), strict=True))
        order = sorted(scores, key=lambda p: -scores[p])
        hits = [r for r, p in enumerate(order, start=1) if ids[p] in wanted and r <= 10]
        in_catalogue = {i for i in wanted if i in ids}
        total = len(in_catalogue) + sum(1 for i in rows if test.categorical[i, item_at].item() not in in_catalogue)
        ideal = sum(1 / math.log2(j + 1) for j in range(1, min(10, total) + 1))
        ndcg.append(sum(1 / math.log2(r + 1) for r in hits) / ideal)
    assert len(ndcg) == len(ranking.users)
    assert values["interact/ndcg@10"] == pytest.approx(sum(ndcg) / len(ndcg), abs=1e-6)
    assert set(values) == {f"interact/{m}@{k}" for m in ("ndcg", "recall", "mrr") for k in (3, 10)} | {
        "interact/rankable"
    }
    assert 0 < values["interact/rankable"] <= 1


def test_a_sample_of_users_is_the_same_each_time(job: Callable[..., Any]) -> None:
    data, _ = job("data.ranking.users=7")
    one, two = CatalogueRanking(data), CatalogueRanking(data)
    assert len(one.users) == 7
    assert torch.equal(one.users, two.users)
    assert one.of_popularity() == two.of_popularity()


def test_a_model_that_knows_the_answer_finds_it(job: Callable[..., Any]) -> None:
    data, module = job("data.ranking.users=null")
    ranking = CatalogueRanking(data)
    wanted = dict(zip(ranking.users.tolist(), ranking.wanted, strict=True))
    item_at = [f.name for f in data.schema.of_kind("categorical")].index("item")
    ids = ranking.catalogue.categorical[:, item_at].tolist()

    def knows(batch: Any) -> list[torch.Tensor]:
        hit = [
            float(ids.index(item) in wanted[group].tolist())
            for group, item in zip(batch.group.tolist(), batch.categorical[:, item_at].tolist(), strict=True)
        ]
        return [torch.tensor(hit), torch.tensor(hit)]

    module.predict = knows
    values = ranking.of_model(module)
    assert values["interact/mrr@3"] > 0.9 * values["interact/rankable"]
    assert values["interact/ndcg@10"] > ranking.of_popularity()["interact/ndcg@10"]
