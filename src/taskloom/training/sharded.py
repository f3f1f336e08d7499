"""Sharded: embedding tables spread by rows over all ranks; everything else is data parallel."""

import atexit
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import DTensor
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel
from torch.optim import SGD

from taskloom.distributed import from_first, rank, world_size
from taskloom.errors import ConfigError
from taskloom.features import Features
from taskloom.features.tables import Tables
from taskloom.training.sharded_checkpoint import Content, by_rows, load_shards, load_state, write_shards
from taskloom.training.strategy import RanksStrategy


def shard_tables(features: Features, accelerator: str) -> None:
    """Fills tables that were left without memory, each rank with its own rows of them.

    Rank r of W has the rows [r c, (r + 1) c) of a table of N, c = ceil(N / W), as a ``DTensor``. Initial rows depend
    on the seed alone: the table is the same on any number of ranks, and no process ever has the whole of it. Tables
    that have their memory are left alone.

    Args:
        features: made with ``meta_from``.
        accelerator: of the config: ``cpu``, or else this rank's GPU where it has one.

    Raises:
        ConfigError: more ranks than can have rows.
    """
    tables: list[Any] = list(features.tables)
    on_gpu = accelerator != "cpu" and torch.cuda.is_available()
    device = torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device("cpu")
    if not dist.is_initialized():  # one process alone: a group without a network
        backend = "cpu:gloo,cuda:nccl" if on_gpu else "gloo"
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
        atexit.register(close_own_group)
    if not tables[0].weight.is_meta:
        return
    mesh, seed = init_device_mesh(device.type, (world_size(),)), from_first(torch.initial_seed())
    for view, table in enumerate(tables):
        n = table.weight.shape[0]
        share = -(-n // world_size())
        if share * (world_size() - 1) >= n:
            raise ConfigError(
                f"trainer.shard_from: a table of {n} rows leaves some of {world_size()} ranks without any; "
                f"set trainer.shard_from={n + 1}, which keeps it whole on every rank"
            )
        first = rank() * share
        rows = features.initial_rows(seed, view, first, min(first + share, n))
        table.weight = nn.Parameter(by_rows(rows.to(device), n, mesh))
    features.tables = ShardedTables(tables, mesh)


def close_own_group() -> None:
    """Ends the group that one process had by itself, so that its next job begins without one."""
    atexit.unregister(close_own_group)
    if dist.is_initialized() and dist.get_world_size() == 1:
        dist.destroy_process_group()


class ShardedTables(Tables):
    r"""Tables (N, D) of which each rank has some rows, and which all ranks look up together, each for its own batch.

    A look-up takes two exchanges: each id that a rank wants goes once, however often it stands in the batch, to the
    rank that has its row, and the rows of all views come back in one piece. Their gradients go the same way back, to
    be added up there and divided by W: the mean over ranks that ``DistributedDataParallel`` takes of all other
    gradients. With b ids a rank, all different, a step sends about :math:`2 b V D (W - 1) / W` numbers a rank,
    whatever W is; a masked look-up of all ranks' ids with a reduce-scatter, as ``RowwiseParallel`` does it, sends W
    times as many.

    All ranks must look up together, with no ids at all where a batch has no rows.

    Args:
        tables: ``nn.Embedding``, each with a ``DTensor`` (N, D) in shards of rows.
        mesh: of all ranks.
    """

    def __init__(self, tables: list[nn.Module], mesh: DeviceMesh) -> None:
        super().__init__(tables)
        self.mesh = mesh

    def forward(self, ids: Any) -> list[list[Tensor]]:
        """As in ``Tables``."""
        flat = torch.cat([wanted.flatten() for wanted in ids])
        wanted, places = flat.unique(return_inverse=True)
        weights: list[Any] = [table.weight for table in self]
        route = _Route(wanted, -(-weights[0].shape[0] // self.mesh.size()), self.mesh.get_group())
        asked = torch.cat([functional.embedding(route.asked, weight.to_local()) for weight in weights], dim=1)
        rows: Tensor = _Exchange.apply(asked, route)
        each = places.split([wanted.numel() for wanted in ids])
        return [
            [functional.embedding(place.view_as(wanted), found) for place, wanted in zip(each, ids, strict=True)]
            for found in (rows.split(weights[0].shape[1], dim=1) if len(weights) > 1 else [rows])
        ]


class _Route:
    """Which rows each rank asks of each other.

    Args:
        wanted: ids (U,) that this rank asks for, sorted.
        share: rows of a rank.
        group: of all ranks.
    """

    def __init__(self, wanted: Tensor, share: int, group: Any) -> None:
        self.group = group
        take = torch.bincount(wanted // share, minlength=dist.get_world_size(group))
        give = torch.empty_like(take)
        dist.all_to_all_single(give, take, group=group)
        self.take, self.give = take.tolist(), give.tolist()
        #: places in this rank's shard that all ranks ask for, in the order of the ranks
        self.asked = wanted.new_empty(sum(self.give))
        dist.all_to_all_single(self.asked, wanted % share, self.give, self.take, group=group)


class _Exchange(torch.autograd.Function):
    """Rows asked for (A, V D) to rows wanted (U, V D); gradients the other way, divided by W."""

    @staticmethod
    def forward(ctx: Any, asked: Tensor, route: _Route) -> Tensor:
        ctx.route = route
        wanted = asked.new_empty(sum(route.take), asked.shape[1])
        dist.all_to_all_single(wanted, asked, route.take, route.give, group=route.group)
        return wanted

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        route = ctx.route
        asked = gradients[0].new_empty(sum(route.give), gradients[0].shape[1])
        dist.all_to_all_single(asked, gradients[0].contiguous(), route.give, route.take, group=route.group)
        return asked / dist.get_world_size(route.group), None


class ShardedStrategy(RanksStrategy):
    """Distributed data parallel around tables that are spread over the ranks.

    A subclass of the ``ddp`` strategy and not Lightning's ``ModelParallelStrategy``, which leaves all gradients to the
    model and gathers or replaces checkpoints whole: here all that is not a table trains as under ``ddp``, by the same
    code, and a table needs nothing but its look-up.

    Checkpoints are a small file and a folder of shards: see ``sharded_checkpoint``.
    """

    @property
    def restore_checkpoint_after_setup(self) -> bool:
        """Yes: the optimiser's shards are made to fit the parameters in their final precision."""
        return True

    def setup(self, trainer: Trainer) -> None:
        """Keeps the sharded parameters out of what is sent to all ranks.

        Raises:
            ConfigError: float16, whose loss scale each rank would choose by its own rows.
        """
        module = self.lightning_module
        assert module is not None
        sharded = [name for name, parameter in module.named_parameters() if isinstance(parameter, DTensor)]
        if sharded and getattr(self.precision_plugin, "scaler", None) is not None:
            raise ConfigError(
                "trainer.precision=16-mixed does not go with sharded tables: choose trainer.precision=bf16-mixed"
            )
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(module, sharded)
        super().setup(trainer)

    def configure_ddp(self) -> None:
        """Nothing to do for one process, or where a phase trains tables alone."""
        assert self.model is not None
        if world_size() > 1 and any(p.requires_grad and not isinstance(p, DTensor) for p in self.model.parameters()):
            super().configure_ddp()

    def setup_optimizers(self, trainer: Trainer) -> None:
        """As ever; SGD has no fused form for shards."""
        super().setup_optimizers(trainer)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                if isinstance(optimizer, SGD) and isinstance(group["params"][0], DTensor):
                    group.update(fused=False, foreach=True)

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any = None) -> None:
        """Every rank writes its shards; the first writes the rest."""
        super().save_checkpoint(write_shards(checkpoint, filepath), filepath, storage_options)

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> Content:
        """The small file; shards are read as they are needed."""
        self._path = checkpoint_path
        return super().load_checkpoint(checkpoint_path, weights_only=True)

    def load_model_state_dict(self, checkpoint: Any, strict: bool = True) -> None:
        """Every rank reads its own rows, whoever wrote them."""
        assert self.lightning_module is not None
        load_state(self.lightning_module, checkpoint, self._path)

    def load_optimizer_state_dict(self, checkpoint: Any) -> None:
        """The same for the optimiser's state."""
        mesh = init_device_mesh(self.root_device.type, (world_size(),))
        super().load_optimizer_state_dict(load_shards(checkpoint, self._path, mesh, "optimizer_states"))
