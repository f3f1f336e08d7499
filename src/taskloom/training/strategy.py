"""How Lightning trains on several ranks: it is told where it stands and starts, seeds and ends no process itself."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.environments import ClusterEnvironment, LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy

from taskloom.errors import ConfigError
from taskloom.place import Place

#: keys of the config's trainer section that are ours and not Lightning's
OURS = ("threads", "profile", "strategy", "devices", "num_nodes", "shard_from")


def lightning_settings(trainer: Mapping[str, Any], place: Place | None) -> dict[str, Any]:
    """Arguments of ``lightning.Trainer`` for a process that has one device, alone or among others.

    Args:
        trainer: the config's section.
        place: of this process among those that train together; None where it trains alone.

    Returns:
        The arguments; ``strategy`` is a function that makes a new one, because each trainer needs its own.
    """
    settings = {key: value for key, value in trainer.items() if key not in OURS}
    make: type[RanksStrategy] = RanksStrategy
    if trainer.get("strategy") == "sharded":
        from taskloom.training.sharded import ShardedStrategy

        make, place = ShardedStrategy, place or Place(0, 1, 0, 1, "localhost", 0)
    if place is None:
        # Named, because Lightning would otherwise take what it finds of SLURM or torchrun for its own.
        return {**settings, "devices": 1, "plugins": [LightningEnvironment()]}
    device = device_of(trainer, place)
    return {
        **settings,
        "accelerator": "cpu" if device.type == "cpu" else "gpu",
        "devices": 1 if device.type == "cpu" else [device.index],
        "strategy": partial(make, place),
    }


def device_of(trainer: Mapping[str, Any], place: Place) -> torch.device:
    """The device of a rank.

    Raises:
        ConfigError: there are fewer GPUs than ranks on this machine.
    """
    if trainer["accelerator"] == "cpu" or (trainer["accelerator"] == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    there = torch.cuda.device_count()
    if there == 1 and place.local_world > 1 and place.by == "srun":
        return torch.device("cuda", 0)  # SLURM shows each task its own GPU alone
    if place.local_rank >= there:
        raise ConfigError(
            f"trainer.devices: {place.local_world} ranks are on this machine, and PyTorch finds {there} GPUs on it: "
            "start as many ranks as there are GPUs"
        )
    return torch.device("cuda", place.local_rank)


class RanksStrategy(DDPStrategy):
    """Distributed data parallel on the process group that there is; each rank has one device.

    Args:
        place: of this process.
        options: of ``DistributedDataParallel``.
    """

    def __init__(self, place: Place, **options: Any) -> None:
        # All ranks begin with the same buffers, and no layer of ours changes them: nothing to send in each step.
        super().__init__(cluster_environment=_Environment(place), **{"broadcast_buffers": False, **options})

    @property
    def root_device(self) -> torch.device:
        """The one device of this rank."""
        assert self.parallel_devices is not None
        return self.parallel_devices[0]

    def setup_distributed(self) -> None:
        """Takes note of the rank; Lightning's own would start a process group and seed all ranks alike."""
        self.set_world_ranks()

    def _configure_launcher(self) -> None:
        """No launcher: the processes are there."""


def leave_signals_alone(trainer: L.Trainer) -> None:
    """Keeps Lightning from what it does about signals among several ranks.

    It asks all ranks before each step whether one was told to stop, for which a GPU would wait each time, and answers
    a signal with a word to all ranks at whatever point they are.
    """
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]


class _Environment(ClusterEnvironment):
    """A place in Lightning's words."""

    def __init__(self, place: Place) -> None:
        self.place = place

    creates_processes_externally = True

    @property
    def main_address(self) -> str:
        return self.place.address

    @property
    def main_port(self) -> int:
        return self.place.port

    @staticmethod
    def detect() -> bool:
        return False

    def world_size(self) -> int:
        return self.place.world

    def set_world_size(self, size: int) -> None:
        pass

    def global_rank(self) -> int:
        return self.place.rank

    def set_global_rank(self, rank: int) -> None:
        pass

    def local_rank(self) -> int:
        return self.place.local_rank

    def node_rank(self) -> int:
        return self.place.rank // self.place.local_world
