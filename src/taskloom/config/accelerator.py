"""Is there the device that a config asks for?"""

from collections.abc import Iterator, Mapping
from typing import Any

from taskloom.config.values import Problem


def check_accelerator(trainer: Mapping[str, Any]) -> Iterator[Problem]:
    """A GPU that is asked for and not there, which Lightning would find out after the data is read.

    Args:
        trainer: the config's section.
    """
    if trainer["accelerator"] != "gpu":
        return
    import torch

    if not (torch.cuda.is_available() or torch.backends.mps.is_available()):
        text = "trainer.accelerator is gpu, but PyTorch finds none on this machine: choose trainer=cpu"
        yield Problem("trainer.accelerator", text)
