"""Are there the devices, machines and processes that a config asks for?"""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from taskloom.config.values import Problem
from taskloom.place import Place, external


def check_accelerator(trainer: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> Iterator[Problem]:
    """A GPU or a process that is asked for and not there, which would be found out after the data is read.

    Args:
        trainer: the config's section.
        environ: what torchrun or srun say of the processes that they started.
    """
    place = external(environ)
    single = trainer.get("strategy", "single") == "single"  # older runs have no strategy
    if trainer["accelerator"] == "gpu":
        yield from _check_gpu(single)
    if single:
        yield from _check_single(trainer, place)
        return
    devices, nodes = trainer["devices"], trainer["num_nodes"]
    gpus = 0 if trainer["accelerator"] == "cpu" else _gpus()
    # srun may show each task its own GPU alone.
    if gpus and devices != "auto" and devices > gpus and (place is None or gpus > 1):
        seen = f" (CUDA_VISIBLE_DEVICES={environ['CUDA_VISIBLE_DEVICES']})" if "CUDA_VISIBLE_DEVICES" in environ else ""
        text = f"trainer.devices is {devices}, but PyTorch finds {gpus} GPU{'s' * (gpus > 1)} on this machine{seen}"
        yield Problem("trainer.devices", f"{text}: ask for as many, or for auto")
    if place is None and nodes > 1:
        one = devices if devices != "auto" else "<GPUs of one>"
        yield Problem(
            "trainer.num_nodes",
            f"trainer.num_nodes is {nodes}, but this command starts processes on this machine alone: start it on each "
            f"one with torchrun --nnodes={nodes} --nproc-per-node={one} --rdzv-backend=c10d "
            "--rdzv-endpoint=<first machine>:29500 src/train.py ..., or on all with srun python src/train.py ...",
        )
    if place is not None and devices != "auto" and place.world != devices * nodes:
        yield Problem(
            "trainer.devices",
            f"{place.by} started {place.world} process{'es' * (place.world > 1)}, but trainer.devices={devices} on "
            f"trainer.num_nodes={nodes} are {devices * nodes}: make the two equal",
        )


def _check_gpu(single: bool) -> Iterator[Problem]:
    import torch

    if not single and not torch.cuda.is_available():
        yield Problem(
            "trainer.accelerator",
            "several processes on GPUs, as trainer=ddp has them, need CUDA, and PyTorch finds no such GPU on this "
            "machine: choose trainer=ddp_cpu",
        )
    elif single and not (torch.cuda.is_available() or torch.backends.mps.is_available()):
        text = "trainer.accelerator is gpu, but PyTorch finds none on this machine: choose trainer=cpu"
        yield Problem("trainer.accelerator", text)


def _check_single(trainer: Mapping[str, Any], place: Place | None) -> Iterator[Problem]:
    """A trainer of one process."""
    several = "trainer=ddp for GPUs, or trainer=ddp_cpu"
    nodes = trainer.get("num_nodes", 1)
    if place is not None and place.world > 1:
        text = f"{place.by} started {place.world} processes, but trainer.strategy=single trains in one"
        yield Problem("trainer.strategy", f"{text}: choose {several}")
    elif (trainer["devices"], nodes) not in ((1, 1), ("auto", 1)):
        key = "devices" if nodes == 1 else "num_nodes"
        text = f"trainer.{key} is {trainer[key]}, but trainer.strategy=single trains on one device"
        yield Problem(f"trainer.{key}", f"{text}: choose {several}")


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()
