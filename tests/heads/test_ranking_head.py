"""The ranking head."""

import math
from functools import partial

import polars as pl
import pytest
import torch

from taskloom.backbones.mlp import MLP
from taskloom.config.heads import check_heads
from taskloom.config.preflight import preflight
from taskloom.errors import ConfigError
from taskloom.heads import HEADS
from taskloom.schema import Batch, Feature, Schema
from taskloom.tasks import TargetStatistics, Task
from taskloom.training.build import make_data
from taskloom.training.job import evaluate_job, run_job

TASK = Task("stars", "ranking")
STATISTICS = TargetStatistics((1.0,), (1.0,), 9, least=(0.0,))


def make(statistics=STATISTICS, width=8, **arguments):
    return HEADS["ranking"](TASK, statistics, width, **arguments)


def rows(n=40, groups=6, seed=0, grades=3, labelled=0.7):
    g = torch.Generator().manual_seed(seed)
    empty = torch.empty(n, 0)
    y = torch.randint(0, grades, (n, 1), generator=g).float()
    mask = torch.rand(n, 2, generator=g) < labelled
    group = torch.randint(0, groups, (n,), generator=g) * 1000
    return Batch(empty.long(), empty.long(), empty, y.masked_fill(~mask[:, 1:], 0), mask, group, torch.arange(n))


def listwise(scores, y, labelled, group):
    """A loop over groups and their rows."""
    losses = [torch.zeros(()) for _ in scores]
    for g in set(group.tolist()):
        of = [i for i in range(len(scores)) if group[i] == g and labelled[i]]
        total = sum(y[i].item() for i in of)
        for i in of if total else ():
            p = math.e ** scores[i] / sum(math.e ** scores[j] for j in of)
            losses[i] = -y[i] / total * p.log()
    return torch.stack(losses)


@pytest.mark.parametrize("seed", range(4))
def test_the_loss_of_a_group_is_its_listwise_loss(seed):
    batch = rows(seed=seed)
    head = make()
    head.position = 1
    raw = torch.randn(40, 1, generator=torch.Generator().manual_seed(seed), requires_grad=True)
    losses = head.loss(raw, batch.targets, batch)
    expected = listwise(raw[:, 0], batch.targets[:, 0], batch.labelled[:, 1], batch.group)
    torch.testing.assert_close(losses, expected, rtol=1e-5, atol=1e-6)
    weights = torch.randn(40, generator=torch.Generator().manual_seed(9))
    found, known = (torch.autograd.grad((loss * weights).sum(), raw)[0] for loss in (losses, expected))
    torch.testing.assert_close(found, known, rtol=1e-5, atol=1e-6)


def test_a_row_without_a_label_does_not_compete():
    batch, head = rows(), make()
    head.position = 1
    raw = torch.randn(40, 1)
    losses = head.loss(raw, batch.targets, batch)
    raw[~batch.labelled[:, 1]] = 80.0
    torch.testing.assert_close(head.loss(raw, batch.targets, batch), losses)
    alone = batch.select(batch.labelled[:, 1])
    torch.testing.assert_close(head.loss(raw[batch.labelled[:, 1]], alone.targets, alone), losses[batch.labelled[:, 1]])


def test_a_group_without_a_wanted_row_or_with_one_row_teaches_nothing():
    batch = rows(5, labelled=1.1)
    batch.group = torch.tensor([1, 1, 2, 3, 3])
    y = torch.tensor([0.0, 0.0, 2.0, 1.0, 0.0])[:, None]
    raw = torch.randn(5, 1, requires_grad=True)
    losses = make().loss(raw, y, batch)
    assert losses[:3].tolist() == [0, 0, 0]
    losses.sum().backward()
    assert raw.grad[:3].abs().sum() == 0
    assert raw.grad[3] < 0 < raw.grad[4]


def test_the_score_of_a_user_alone_counts_for_nothing():
    batch = rows(labelled=1.1)
    raw, shift = torch.randn(40, 1), torch.randn(6)[batch.group // 1000, None]
    torch.testing.assert_close(make().loss(raw, batch.targets, batch), make().loss(raw + shift, batch.targets, batch))


@pytest.mark.parametrize(
    "options", [{}, {"negatives": "batch", "sides": 2}, {"negatives": "batch", "sides": 2, "log_q": True}]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("labelled", [0.7, 0.0])
def test_extreme_outputs_stay_finite(options, dtype, labelled):
    batch, head = rows(labelled=labelled), make(**options)
    g = torch.Generator().manual_seed(1)
    raw = (50 * torch.randint(-1, 2, (40, head.n_raw), generator=g)).to(dtype).requires_grad_()
    losses = head.loss(raw, batch.targets, batch)
    losses.masked_fill(~batch.labelled[:, 0], 0).sum().backward()
    assert losses.dtype == torch.float32
    assert losses.isfinite().all()
    assert raw.grad.isfinite().all()


def in_batch(users, items, names, y, labelled, group, log_q):
    """A loop over users and items that knows the items' names."""
    n = len(users)
    known = [j for j in range(n) if labelled[j]]
    q = {name: sum(names[j] == name for j in known) / len(known) for name in names}
    losses = [torch.zeros(()) for _ in range(n)]
    for i in known:
        scores = []
        for j in known:
            if j == i or group[j] != group[i] or y[j] == 0:
                scores.append(users[i] @ items[j] - (math.log(q[names[j]]) if log_q else 0))
        own = users[i] @ items[i] - (math.log(q[names[i]]) if log_q else 0)
        losses[i] = -y[i] * (own - torch.stack(scores).logsumexp(0))
    return torch.stack(losses)


@pytest.mark.parametrize("log_q", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_the_items_of_the_batch_compete_for_each_user(seed, log_q):
    batch, g = rows(30, grades=2, seed=seed), torch.Generator().manual_seed(seed)
    head = make(negatives="batch", sides=4, log_q=log_q)
    catalogue, names = torch.randn(12, 4, generator=g), torch.randint(0, 12, (30,), generator=g)
    h = torch.cat([torch.randn(30, 3, generator=g), torch.randn(30, 4, generator=g), catalogue[names]], 1)
    h.requires_grad_()
    raw = head(h)
    mask = batch.labelled[:, 0]
    y = torch.randint(0, 2, (30,), generator=g).masked_fill(~mask, 0)
    losses = head.loss(raw, y[:, None].float(), batch).masked_fill(~mask, 0)
    expected = in_batch(h[:, 3:7], h[:, 7:], names.tolist(), y, mask, batch.group, log_q)
    torch.testing.assert_close(losses, expected, rtol=1e-5, atol=1e-5)
    found, known = (torch.autograd.grad(loss.sum(), h, retain_graph=True)[0] for loss in (losses, expected))
    torch.testing.assert_close(found, known, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(head.predict(raw), (h[:, 3:7] * h[:, 7:]).sum(1))
    assert not list(head.parameters())  # of which none could be learnt


@pytest.mark.parametrize(("log_q", "best"), [(False, [1, 1, 1, 1]), (True, [8, 4, 2, 1])])
def test_log_q_is_the_difference_between_what_users_choose_and_what_they_choose_beyond_popularity(log_q, best):
    """Users who are all alike choose items by their popularity alone: the loss is least at its logarithm, or at 0."""
    names = torch.arange(4).repeat_interleave(torch.tensor([8, 4, 2, 1]))
    batch = rows(15, labelled=1.1)
    batch.group = torch.arange(15)
    head = make(negatives="batch", sides=5, log_q=log_q)
    scores = torch.tensor(best).log().requires_grad_()
    users = torch.eye(5)[:1].expand(15, -1)
    items = torch.cat([scores[:, None], torch.eye(4)], dim=1)[names]
    losses = head.loss(torch.cat([users, items], dim=1), torch.ones(15, 1), batch)
    assert torch.autograd.grad(losses.sum(), scores)[0].abs().max() < 1e-5


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (
            {"statistics": TargetStatistics((1.0,), (1.0,), 9, (-1.0,))},
            r"stars\.target: a relevance is >= 0, .* to -1;",
        ),
        ({"negatives": "batch"}, r"stars\.options\.negatives: batch scores each user .* a backbone with two sides"),
        ({"log_q": True}, r"stars\.options\.log_q: it corrects in-batch negatives; set negatives: batch, or leave"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, match):
    with pytest.raises(ConfigError, match=match):
        make(**arguments)


def test_options_are_checked_before_the_run():
    problems = check_heads([Task("stars", "ranking", options={"negatives": "all", "log_q": 1, "sides": 4})])
    where = "data.tasks.stars.options"
    assert [p.text.split(";")[0] for p in problems] == [
        f"{where}.negatives must be group or batch, got 'all'",
        f"{where}.log_q must be true or false, got 1",
        f"Unknown key {where}.sides: {where} has dropout, hidden, log_q, negatives",
    ]


def test_the_module_tells_each_head_its_place_and_orders_are_learnt(make_batch, make_module):
    schema = Schema(
        (Feature("user", "categorical", "user", size=5), Feature("item", "categorical", "item", size=9)),
        targets=("like", "stars"),
    )
    tasks = [Task("like", "binary"), TASK]
    module = make_module(schema, tasks, backbone=partial(MLP, hidden=[16]), lr=0.05)
    assert [head.position for head in module.heads] == [0, 1]
    batch = make_batch(schema, n=60, labelled=0.7)
    batch.targets[:, 1] = ((batch.categorical[:, 0] + batch.categorical[:, 1]) % 3).float()
    batch.targets[~batch.labelled] = torch.nan
    optimizer = torch.optim.Adam(module.parameters(), lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        module.objective(batch)[0].backward()
        optimizer.step()
    scores = module.predict(batch)[1]
    for g in batch.group.unique():
        of = (batch.group == g) & batch.labelled[:, 1]
        if of.any():
            assert batch.targets[of, 1][scores[of].argmax()] == batch.targets[of, 1].max()


def test_a_run_orders_the_films_of_each_user(compose, tmp_path, capsys):
    config = compose(
        "data.tasks.rating.kind=ranking", "floors=[constant,bias,linear]", "model=hard_sharing", "method.epochs=3"
    )
    assert preflight(config) == []
    record = run_job(config, tmp_path / "run")
    assert record["state"] == "done"
    for said in (record["test"], record["floors"]["constant"], record["floors"]["bias"], record["floors"]["linear"]):
        assert 0 < said["rating/ndcg_at_10"] < 1
    assert 0 < record["test"]["rating/group_coverage"] < 1
    frame = pl.read_parquet(tmp_path / "run/predictions/test.parquet")
    assert frame["prediction_rating"].is_finite().all()
    assert "NDCG" in capsys.readouterr().out.upper()
    assert evaluate_job(tmp_path / "run")["same"]


def test_drawn_films_make_it_a_sampled_softmax(compose, tmp_path):
    config = compose(
        "tasks=[interact]", "data.tasks.interact.kind=ranking", "model=hard_sharing", "data.ranking.users=9"
    )
    assert preflight(config) == []
    data = make_data(config)
    data.prepare_data()
    data.setup()
    batch, ((column,),) = next(iter(data.train_dataloader())), data.task_columns
    for user in batch.group.unique():
        assert set(batch.targets[batch.group == user, column].tolist()) == {0.0, 1.0}
    assert not [line for line in data.summary() if "nothing to learn" in line]
    record = run_job(config, tmp_path / "run")
    assert 0 < record["test"]["interact/ndcg_at_10"] < 1
    assert 0 <= record["test"]["interact/ndcg@10"] <= 1


@pytest.mark.parametrize("model", ["hard_sharing", "single_task"])
def test_two_towers_take_in_batch_negatives(compose, tmp_path, model):
    config = compose(
        "data.tasks.rating.kind=ranking", "+data.tasks.rating.options={negatives: batch, log_q: true}", f"model={model}"
    )
    config["backbone"] = {"_target_": "taskloom.backbones.two_tower.TwoTower", "hidden": [8], "out": 4}
    assert preflight(config) == []
    assert 0 < run_job(config, tmp_path / "run")["test"]["rating/ndcg_at_10"] < 1


def test_in_batch_negatives_without_two_sides_end_in_a_sentence(compose, tmp_path):
    config = compose("data.tasks.rating.kind=ranking", "+data.tasks.rating.options={negatives: batch}")
    with pytest.raises(ConfigError, match="takes a backbone with two sides"):
        run_job(config, tmp_path / "run")
