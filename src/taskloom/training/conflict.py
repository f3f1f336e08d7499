"""GradientConflict: how the tasks' gradients on shared parameters agree, epoch by epoch."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning as L
import torch
import torch.distributed as dist
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from taskloom.distributed import sum_over_ranks, world_size
from taskloom.features.widths import NarrowTable
from taskloom.metrics.conflict import conflict
from taskloom.module import MultiTaskModule
from taskloom.ranges import PositiveInt
from taskloom.schema import Batch
from taskloom.training.rng import rng_state, set_rng_state


class GradientConflict(Callback):
    r"""Logs ``conflict/<a>~<b>``, the cosine of two tasks' gradients, and ``conflict/share``, that of negative ones.

    .. math:: g_k = \nabla_\varphi L_k(\varphi, \theta_k)

    φ are the parameters that no task has for itself, embedding tables among them; L_k is task k's loss on a fixed
    random sample of the training rows, without dropout and without penalties. The sample is the same in every epoch,
    so that a curve shows the training and not the rows. Where tasks share no parameter, as in ``single_task``, where
    there is one task, or where no task but one has a label in the sample, nothing is logged.

    Training goes on as if this were not there: gradients, random numbers, modes and the loader stay as they are. A
    table's gradient is taken on the rows that the sample looks up, so that its cost does not grow with the table, and
    tables that are spread over processes are no exception.

    Source: Yu et al. 2020, "Gradient Surgery for Multi-Task Learning". Deviations: none.

    Args:
        every: epochs from one measurement to the next.
        rows: of the sample, over all ranks.
    """

    def __init__(self, every: PositiveInt, rows: PositiveInt) -> None:
        self.every, self.rows = every, rows
        self._batch: Batch | None = None

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Other data may be there than before."""
        self._batch = None

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Measures and logs; every rank takes part."""
        assert isinstance(pl_module, MultiTaskModule)
        if (trainer.current_epoch + 1) % self.every or len(pl_module.tasks) < 2 or pl_module.sharing.independent:
            return
        if self._batch is None:
            loader: Any = trainer.train_dataloader
            rows = trainer.precision_plugin.convert_input(loader.sample(self.rows))
            self._batch = trainer.strategy.batch_to_device(rows)
        with undisturbed(pl_module), trainer.precision_plugin.forward_context():
            found = shared_gramian(pl_module, self._batch)
        if found is not None:
            gramian, tasks = found
            pl_module.log_dict(conflict(gramian, [pl_module.tasks[k].name for k in tasks]))


@contextmanager
def undisturbed(module: nn.Module) -> Iterator[None]:
    """Evaluation mode and gradients within the block; modes and random numbers are as before behind it."""
    modes = {part: part.training for part in module.modules()}
    generators = rng_state()
    module.eval()
    try:
        with torch.enable_grad():
            yield
    finally:
        for part, training in modes.items():
            part.training = training
        set_rng_state(generators)


def shared_gramian(module: MultiTaskModule, batch: Batch) -> tuple[Tensor, list[int]] | None:
    """Inner products of the tasks' gradients on all shared parameters, over all ranks.

    Args:
        module: whose parameters keep their own ``grad``.
        batch: this rank's rows.

    Returns:
        The Gramian (K', K') and the numbers of the K' tasks with a label on some rank; None where fewer than two
        have one, or where nothing is shared.
    """
    shared = {
        name: parameter
        for name, parameter in module.named_parameters()
        if name.startswith(("features.", "sharing.")) and parameter.requires_grad and module.owner(name) is None
    }
    tables = module.features.tables
    views = [v for v in range(len(tables)) if any(name.startswith(f"features.tables.{v}.") for name in shared)]
    others = [parameter for name, parameter in shared.items() if not name.startswith("features.tables.")]
    looked_up: list[tuple[list[Tensor], list[list[Tensor]]]] = []
    hook = tables.register_forward_hook(lambda _, given, found: looked_up.append((given[0], found)))
    try:
        losses, counts = module.losses(module(batch).raw, batch)
    finally:
        hook.remove()
    tasks = [k for k in range(len(module.tasks)) if counts[k] > 0]
    if len(tasks) < 2 or not (views or others):
        return None
    (ids, found), *_ = looked_up
    inputs = [*others, *(rows for v in views for rows in found[v])]
    gradients = [_gradients(losses[k], inputs) for k in tasks]
    parts = [torch.stack([each[n].flatten() for each in gradients]) for n in range(len(others))]
    flat = torch.cat([wanted.flatten() for wanted in ids])
    for v, first in zip(views, range(len(others), len(inputs), len(ids)), strict=True):
        of_view = [each[first : first + len(ids)] for each in gradients]
        if isinstance(table := tables[v], NarrowTable):  # what fills an embedding up is no parameter
            of_view = [[g * table.own(w) for g, w in zip(of_task, ids, strict=True)] for of_task in of_view]
        parts.append(_by_row(flat, of_view))
    # The sum over ranks, and not the mean: a common factor changes no cosine.
    rows = sum_over_ranks(torch.cat(parts, dim=1).float())
    return rows @ rows.T, tasks


def _gradients(loss: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    found = torch.autograd.grad(loss, inputs, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(z) if grad is None else grad for z, grad in zip(inputs, found, strict=True)]


def _by_row(ids: Tensor, gradients: list[list[Tensor]]) -> Tensor:
    """Gradients on a table (K, U D) from those on the rows looked up: what several look-ups of a row get adds up.

    Args:
        ids: (n,), looked up here.
        gradients: of each task, on the rows of each tensor of ids, together (n, D).
    """
    wanted = _of_all_ranks(ids.unique())
    places = torch.searchsorted(wanted, ids)
    each = [torch.cat([grad.flatten(0, -2) for grad in of_task]) for of_task in gradients]
    return torch.stack([g.new_zeros(len(wanted), g.shape[1]).index_add_(0, places, g).flatten() for g in each])


def _of_all_ranks(ids: Tensor) -> Tensor:
    """The ids that any rank has, sorted."""
    if world_size() == 1:
        return ids
    longest = torch.tensor([len(ids)], device=ids.device)
    dist.all_reduce(longest, dist.ReduceOp.MAX)
    padded = ids.new_full((int(longest),), -1)
    padded[: len(ids)] = ids
    gathered = [torch.empty_like(padded) for _ in range(world_size())]
    dist.all_gather(gathered, padded)
    found = torch.cat(gathered).unique()
    return found[found >= 0]
