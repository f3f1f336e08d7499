"""The devices, machines and processes that a trainer asks for, and those that are there."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from taskloom.config.accelerator import check_accelerator

CPU = {"accelerator": "cpu", "strategy": "ddp", "devices": 2, "num_nodes": 1}
GPU = {**CPU, "accelerator": "gpu"}
SINGLE = {**CPU, "strategy": "single", "devices": 1}


def torchrun(world: int) -> dict[str, str]:
    return {
        "TORCHELASTIC_RUN_ID": "none",
        "RANK": "0",
        "WORLD_SIZE": str(world),
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": "1",
    }


def said(trainer: Mapping[str, Any], environ: Mapping[str, str] = {}) -> list[str]:
    return [problem.text for problem in check_accelerator(trainer, environ)]


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Any:
    def there(number: int) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: number > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: number)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)

    return there


def test_what_is_there(gpus: Any) -> None:
    gpus(4)
    for trainer in (CPU, {**CPU, "devices": 64}, SINGLE, GPU, {**GPU, "devices": "auto"}, {**GPU, "devices": 4}):
        assert said(trainer) == []
    assert said(CPU, torchrun(2)) == said({**GPU, "devices": 1, "num_nodes": 2}, torchrun(2)) == []
    assert said({"accelerator": "cpu", "devices": 1}) == []  # the config of an older run


def test_ddp_without_gpus_names_the_one_that_needs_none(gpus: Any) -> None:
    gpus(0)
    (text,) = said(GPU)
    assert "PyTorch finds no such GPU on this machine: choose trainer=ddp_cpu" in text
    (text,) = said({**SINGLE, "accelerator": "gpu"})
    assert "choose trainer=cpu" in text


def test_more_devices_than_there_are(gpus: Any) -> None:
    gpus(2)
    (text,) = said({**GPU, "devices": 4}, {"CUDA_VISIBLE_DEVICES": "1,3"})
    assert text.startswith("trainer.devices is 4, but PyTorch finds 2 GPUs on this machine (CUDA_VISIBLE_DEVICES=1,3)")


def test_one_process_has_one_device() -> None:
    (text,) = said({**SINGLE, "devices": 2})
    assert text == (
        "trainer.devices is 2, but trainer.strategy=single trains on one device: choose trainer=ddp for GPUs, "
        "or trainer=ddp_cpu"
    )
    assert said({**SINGLE, "num_nodes": 2})[0].startswith("trainer.num_nodes is 2")


def test_several_machines_need_somebody_who_starts_there() -> None:
    (text,) = said({**CPU, "num_nodes": 3})
    assert "torchrun --nnodes=3 --nproc-per-node=2 --rdzv-backend=c10d" in text
    assert said({**CPU, "num_nodes": 3}, torchrun(6)) == []


def test_as_many_processes_as_were_started() -> None:
    (text,) = said({**CPU, "num_nodes": 2}, torchrun(3))
    assert text == (
        "torchrun started 3 processes, but trainer.devices=2 on trainer.num_nodes=2 are 4: make the two equal"
    )
    (text,) = said(SINGLE, torchrun(3))
    assert "trainer.strategy=single trains in one: choose trainer=ddp" in text
