"""The parts of trainer=sharded in one process: the shards' checkpoints, clipping, and what is refused."""

import pytest
import torch
import torch.distributed as dist
from torch.distributed.tensor import DTensor

from taskloom.distributed import clip_grad_norm
from taskloom.errors import ConfigError, RunError
from taskloom.features import Features
from taskloom.place import Place
from taskloom.training import sharded, sharded_checkpoint
from taskloom.training.parameter_groups import parameter_groups
from taskloom.training.sharded import ShardedStrategy, shard_tables
from taskloom.training.sharded_checkpoint import load_shards, load_state, remove_old_shards, save_shards


@pytest.fixture(autouse=True)
def no_group_left():
    yield
    if dist.is_initialized():
        dist.destroy_process_group()


@pytest.fixture
def spread(schema):
    def make(views="per_task", seed=3):
        torch.manual_seed(seed)
        features = Features(schema, 2, dim=3, views=views, init_std=1.0, meta_from=1)
        shard_tables(features, "cpu")
        return features

    return make


def whole(schema, views="per_task"):
    return Features(schema, 2, dim=3, views=views, init_std=1.0)


def test_looks_up_what_whole_tables_look_up(schema, make_batch, spread):
    features, plain = spread("both"), whole(schema, "both")
    for ours, table in zip(features.tables, plain.tables, strict=True):
        assert isinstance(ours.weight, DTensor)
        table.weight.data.copy_(ours.weight.to_local())
    for batch in (make_batch(schema), make_batch(schema, n=0)):
        found, expected = features(batch).fields, plain(batch).fields
        assert torch.equal(found, expected)
        for fields in (found, expected):
            fields.pow(3).sum().backward()
    for ours, table in zip(features.tables, plain.tables, strict=True):
        torch.testing.assert_close(ours.weight.grad.to_local(), table.weight.grad)


def test_a_table_begins_as_its_seed_says_with_unknown_ids_at_zero(spread):
    first, again, other = spread(), spread(), spread(seed=4)
    rows = [f.tables[0].weight.to_local() for f in (first, again, other)]
    assert torch.equal(rows[0], rows[1])
    assert not torch.equal(rows[0], rows[2])
    assert not torch.equal(rows[0], first.tables[1].weight.to_local())
    assert (rows[0].abs().sum(1) == 0).nonzero().flatten().tolist() == [0, 12, 21, 25]
    assert rows[0].std().item() == pytest.approx(1, abs=0.3)


def test_small_tables_stay_whole(schema):
    features = Features(schema, 2, dim=3, meta_from=31)  # of 30 rows
    shard_tables(features, "cpu")
    assert type(features.tables[0].weight) is torch.nn.Parameter


def test_a_rank_without_rows_is_refused(schema, monkeypatch, spread):
    spread()  # makes the group
    monkeypatch.setattr(sharded, "init_device_mesh", lambda kind, shape: None)
    monkeypatch.setattr(sharded, "world_size", lambda: 40)
    with pytest.raises(ConfigError, match=r"a table of 30 rows leaves some of 40 ranks .* set trainer.shard_from=31"):
        spread()


def test_a_checkpoint_comes_back_whole_or_in_shards(schema, spread, tmp_path):
    features, path = spread(), tmp_path / "last.ckpt"
    optimizer = torch.optim.Adam(features.parameters(), fused=True)
    for table in features.tables:
        table.weight.grad = torch.ones_like(table.weight)
    optimizer.step()
    content = {"state_dict": features.state_dict(), "optimizer_states": [optimizer.state_dict()], "more": (1, "a")}
    save_shards(content, path)
    small = torch.load(path, weights_only=True)
    assert small["state_dict"] == {}
    assert small["more"] == (1, "a")

    plain, other = whole(schema), spread(seed=9)
    for module in (plain, other):
        load_state(module, small, path)
    for ours, theirs, table in zip(features.tables, other.tables, plain.tables, strict=True):
        assert torch.equal(theirs.weight.to_local(), ours.weight.to_local())
        assert torch.equal(table.weight, ours.weight.to_local())
    states = load_shards(small, path, features.tables.mesh, "optimizer_states")["optimizer_states"][0]["state"]
    for number, state in optimizer.state_dict()["state"].items():
        assert states[number].keys() == state.keys()
        assert torch.equal(states[number]["exp_avg"].to_local(), state["exp_avg"].to_local())
        assert states[number]["exp_avg_sq"].shape == (30, 3)
    with pytest.raises(RuntimeError, match="Missing key"):
        load_state(whole(schema, "both"), small, path)


def test_a_checkpoint_keeps_what_an_earlier_one_wrote(schema, spread, tmp_path):
    features, path = spread(), tmp_path / "best.ckpt"
    save_shards({"state_dict": features.state_dict()}, path)
    before = torch.load(path, weights_only=True)["shards"]
    first, second = (f"state_dict/tables.{k}.weight" for k in (0, 1))
    state = spread(seed=5).state_dict()
    save_shards({"state_dict": {"tables.1.weight": state["tables.1.weight"]}, "shards": {first: before[first]}}, path)
    now = torch.load(path, weights_only=True)["shards"]
    assert now[first] == before[first] != now[second]
    plain = whole(schema)
    load_state(plain, torch.load(path, weights_only=True), path)
    assert torch.equal(plain.tables[0].weight, features.tables[0].weight.to_local())
    assert torch.equal(plain.tables[1].weight, state["tables.1.weight"].to_local())
    save_shards({"state_dict": features.state_dict()}, path)
    assert {folder.name for folder in tmp_path.glob("shards-*")} == {*torch.load(path)["shards"].values()}


def full(*arguments, **named):
    raise OSError("the disk is full")


def test_a_checkpoint_that_fails_half_way_leaves_the_one_before(spread, tmp_path, monkeypatch):
    features, path = spread(), tmp_path / "last.ckpt"
    save_shards({"state_dict": features.state_dict(), "step": 1}, path)
    failures = [
        (sharded_checkpoint.dcp.FileSystemWriter, "finish", RunError, r"cannot be written \(.*the disk is full"),
        (sharded_checkpoint, "file_beside", OSError, "the disk is full"),
    ]
    for place, name, error, message in failures:
        with monkeypatch.context() as patch:
            patch.setattr(place, name, full)
            with pytest.raises(error, match=message):
                save_shards({"state_dict": spread(seed=8).state_dict(), "step": 2}, path)
    small = torch.load(path, weights_only=True)
    assert small["step"] == 1
    back = spread(seed=6)
    load_state(back, small, path)
    assert torch.equal(back.tables[0].weight.to_local(), features.tables[0].weight.to_local())
    assert len(list(tmp_path.glob("shards-*"))) > 1
    remove_old_shards(tmp_path)
    assert [folder.name for folder in tmp_path.glob("shards-*")] == [*set(small["shards"].values())]


def test_the_small_file_comes_after_its_shards(spread, tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    strategy = ShardedStrategy(Place(0, 1, 0, 1, "localhost", 0))
    strategy.save_checkpoint({"state_dict": spread().state_dict(), "step": 1}, path)
    monkeypatch.setattr(sharded_checkpoint.dcp.FileSystemWriter, "finish", full)
    with pytest.raises(RunError, match="cannot be written"):
        strategy.save_checkpoint({"state_dict": spread().state_dict(), "step": 2}, path)
    assert torch.load(path, weights_only=True)["step"] == 1


@pytest.mark.parametrize("largest", [0.1, 1e6])
def test_clips_by_the_norm_of_shards_and_whole_gradients(spread, largest):
    features, layer = spread(), torch.nn.Linear(3, 2)
    copies = []
    for parameter in [*features.parameters(), *layer.parameters()]:
        parameter.grad = torch.ones_like(parameter) * 0.7
        local = getattr(parameter.grad, "to_local", lambda p=parameter: p.grad)()
        copy = torch.nn.Parameter(torch.empty_like(local))
        copy.grad = local.clone()
        copies.append(copy)
    clip_grad_norm([*features.parameters(), *layer.parameters()], largest)
    torch.nn.utils.clip_grad_norm_(copies, largest)
    for parameter, copy in zip([*features.parameters(), *layer.parameters()], copies, strict=True):
        torch.testing.assert_close(getattr(parameter.grad, "to_local", lambda p=parameter: p.grad)(), copy.grad)


def test_tables_have_groups_of_their_own():
    names = ["features.tables.0.weight", "sharing.w", "features.tables.1.weight", "features.other"]
    parameters = {name: torch.nn.Parameter(torch.zeros(1)) for name in names}
    groups = parameter_groups(parameters, {"embeddings": {"pattern": r"features\.", "lr": 0.1}})
    assert [(group["name"], group.get("lr"), len(group["params"])) for group in groups] == [
        ("embeddings", 0.1, 2),
        ("others", None, 1),
        ("embeddings", 0.1, 1),
    ]


def test_a_loss_scale_is_refused(spread):
    strategy = ShardedStrategy(Place(0, 1, 0, 1, "localhost", 0))
    strategy._lightning_module = torch.nn.ModuleDict({"features": spread()})
    strategy.precision_plugin = type("Float16", (), {"scaler": object()})()
    with pytest.raises(ConfigError, match=r"choose trainer.precision=bf16-mixed"):
        strategy.setup(None)
