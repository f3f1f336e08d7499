"""Options of embedding tables beside those of the rest of a job."""

import pytest

from taskloom.config.preflight import preflight

SPARSE = ["features.sparse=true", "optimizer=sparse_adam"]


def texts(config):
    return [problem.text for problem in preflight(config)]


@pytest.mark.parametrize(
    "overrides",
    [
        SPARSE,
        [*SPARSE, "trainer=ddp_cpu"],
        [*SPARSE, "features.hash_above=100", "features.views=per_task"],
        [*SPARSE, "features.frequency_power=0.5"],
        ["features.sparse=true", "optimizer=sgd", "optimizer.momentum=0", "optimizer.fused=false"],
        ["features.hash_above=100", "trainer=sharded", "trainer.accelerator=cpu"],
        ["optimizer=sparse_adam"],
    ],
)
def test_what_goes_together(compose, overrides):
    assert texts(compose(*overrides)) == []


@pytest.mark.parametrize(
    ("overrides", "path", "advice"),
    [
        (["features.frequency_power=0.5", "features.hash_above=9"], "features.frequency_power", "choose one of them"),
        (["features.frequency_power=0.5", "trainer=sharded"], "features.frequency_power", "choose another trainer"),
        ([*SPARSE, "trainer=sharded"], "features.sparse", "choose another trainer"),
        (["features.sparse=true"], "optimizer", "Adam takes no sparse gradients"),
        (["features.sparse=true", "optimizer=adamw"], "optimizer", "optimizer=sparse_adam"),
        (
            ["features.sparse=true", "optimizer=sgd", "optimizer.fused=false"],
            "optimizer.momentum",
            "set optimizer.momentum=0",
        ),
        (
            ["features.sparse=true", "optimizer=sgd", "optimizer.momentum=0"],
            "optimizer.fused",
            "set optimizer.fused=false",
        ),
        (
            [*SPARSE, "parameter_groups.embeddings.weight_decay=0.1"],
            "parameter_groups.embeddings.weight_decay",
            "features.l2",
        ),
        (
            [*SPARSE, "parameter_groups.embeddings.weight_decay=null", "+optimizer.weight_decay=0.1"],
            "optimizer.weight_decay",
            "features.l2",
        ),
        ([*SPARSE, "trainer.precision=16-mixed"], "features.sparse", "bf16-mixed"),
        ([*SPARSE, "trainer=ddp", "trainer.accelerator=gpu"], "features.sparse", "trainer=ddp_cpu"),
        (["features.hash_above=2"], "features.hash_above", "must be >= 3, got 2"),
        (["features.frequency_power=-1"], "features.frequency_power", "must be >= 0, got -1"),
    ],
)
def test_what_does_not(compose, overrides, path, advice):
    found = [p for p in preflight(compose(*overrides)) if p.path == path]
    assert len(found) == 1
    assert advice in found[0].text
    assert path.split(".")[0] in found[0].text
