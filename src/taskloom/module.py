"""MultiTaskModule: the LightningModule that joins features, sharing, heads, balancer and method."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import lightning as L
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from taskloom.balancers import Balancer, Gradients
from taskloom.distributed import clip_grad_norm, from_first, sum_over_ranks, world_size
from taskloom.errors import RunError
from taskloom.features import Features
from taskloom.features.dead_embeddings import dead_embeddings
from taskloom.heads import Head
from taskloom.methods import Method, Phase
from taskloom.metrics.spec import MetricSpec
from taskloom.outcome import Outcome, OutcomeCollector, combined_score, main_metric
from taskloom.schema import Batch
from taskloom.sharing import Sharing

Reduction = Literal["mean_labelled", "sum"]


@dataclass
class Output:
    """What the network says of a batch.

    Args:
        raw: (B, n_raw) of each task, composed.
        penalty: scalar Ω: the sharing scheme's and the embeddings'.
        representation: see Shared.
    """

    raw: list[Tensor]
    penalty: Tensor
    representation: tuple[Tensor, ...]


class MultiTaskModule(L.LightningModule):
    r"""One model of K tasks and its objective :math:`\sum_k w_k L_k + \text{extra} + \Omega`.

    The losses are reduced here and nowhere else: L_k is the mean over the labelled rows of the global batch
    (``mean_labelled``) or the literal sum of the objective (``sum``).

    Args:
        features: batch to embedded batch.
        sharing: embedded batch to representations.
        heads: one a task, in order.
        balancer: weights the losses.
        method: what a step is.
        optimizer: takes parameter groups, gives an optimiser.
        scheduler: takes the optimiser and ``total_steps``, gives a schedule by step.
        groups: takes named parameters, gives the optimiser's groups.
        reduction: of the rows' losses.
    """

    def __init__(
        self,
        features: Features,
        sharing: Sharing,
        heads: Sequence[Head],
        balancer: Balancer,
        method: Method,
        optimizer: Callable[..., Optimizer],
        scheduler: Callable[..., LRScheduler],
        groups: Callable[[Mapping[str, nn.Parameter]], list[dict[str, Any]]],
        reduction: Reduction = "mean_labelled",
    ) -> None:
        super().__init__()
        self.features, self.sharing, self.balancer, self.method = features, sharing, balancer, method
        self.heads = nn.ModuleList(heads)
        for k, head in enumerate(heads):
            head.position = k
        self.tasks = [head.task for head in heads]
        self.columns = [features.schema.columns_of(task) for task in self.tasks]
        self.make_optimizer, self.make_scheduler, self.make_groups = optimizer, scheduler, groups
        self.reduction = reduction
        self.phase: Phase = method.phases()[0]
        #: steps of the phase, for the schedule; None asks Lightning
        self.total_steps: int | None = None
        self.outcome: Outcome | None = None
        self._collector = OutcomeCollector()
        self._sums: Tensor | None = None
        self._steps = 0
        self._batch: Batch | None = None
        method.prepare(self)

    def __setattr__(self, name: str, value: Any) -> None:
        """Sets an attribute, and Lightning's note of the hook under way in the short way.

        It is set some fifty times a step, and a module's own way looks each time whether it is a parameter.
        """
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def owner(self, name: str) -> int | None:
        """The task that alone uses a parameter, by its name in this module; None where tasks share it."""
        room, _, rest = name.partition(".")
        if room == "features":
            return None if self.sharing.mixes_views else self.features.owner(rest)
        if room == "sharing":
            return self.sharing.owner(rest)
        return int(rest.split(".")[0]) if room == "heads" else None

    def afterword(self) -> str | None:
        """What people should hear at the end of a training; None where there is nothing."""
        return dead_embeddings(self.features, [task.name for task in self.tasks])

    def forward(self, batch: Batch) -> Output:
        """Batch to raw outputs of all tasks."""
        embedded = self.features(batch)
        shared = self.sharing(embedded)
        raw = [head(h) for head, h in zip(self.heads, shared.h.unbind(1), strict=True)]
        raw = self.sharing.compose(raw)
        penalty = shared.penalty + embedded.penalty
        calibration = self.sharing.calibration(raw, embedded.n_rows)
        return Output(raw, penalty if calibration is None else penalty + calibration, shared.representation)

    def losses(self, raw: Sequence[Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
        """Reduced losses (K,) and the labels behind them over all ranks (K,).

        Each rank's loss is scaled so that the mean over ranks, which distributed training takes of gradients, is
        the loss of the global batch.
        """
        missing = ~batch.labelled
        # masked_fill and not a product: 0 times an infinite loss would be nan.
        losses = [
            head.loss(raw[k], self._target(k, batch).masked_fill(missing[:, k : k + 1], 0), batch)  # type: ignore[operator]
            for k, head in enumerate(self.heads)
        ]
        sums = torch.stack(losses).masked_fill(missing.T, 0).sum(1)
        counts = sum_over_ranks(batch.labelled.sum(0, dtype=torch.float32))
        if world_size() > 1:
            sums = sums * world_size()
        return (sums / counts.clamp_min(1) if self.reduction == "mean_labelled" else sums), counts

    def _target(self, k: int, batch: Batch) -> Tensor:
        """The targets of task k, (B, n_targets)."""
        first, *others = self.columns[k]
        # Picking columns by a list copies them, and makes a tensor of the list each time.
        return batch.targets[:, self.columns[k]] if others else batch.targets[:, first : first + 1]

    def predict(self, batch: Batch) -> list[Tensor]:
        """Predictions of all tasks in their targets' units, (B,) each."""
        raw = self(batch).raw
        return [head.predict(r) for head, r in zip(self.heads, raw, strict=True)]  # type: ignore[operator]

    def metrics(self) -> list[dict[str, MetricSpec]]:
        """Fresh metric objects of each task."""
        return [head.metrics() for head in self.heads]  # type: ignore[operator]

    @property
    def main_metrics(self) -> dict[str, str]:
        """The name of the metric that judges each task, by the task's name."""
        return {task.name: main_metric(s) for task, s in zip(self.tasks, self.metrics(), strict=True)}

    def objective(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The scalar to minimise, and the tasks' losses (K,) without gradient."""
        step = self.method.step(self, batch)
        labelled = step.counts > 0
        weights, extra = self.balancer.balance(step.losses, labelled, Gradients(step.losses, step.representation))
        # masked_fill for the same reason as in losses.
        return (weights * step.losses).masked_fill(~labelled, 0).sum() + extra + step.extra, step.losses.detach()

    def on_train_epoch_start(self) -> None:
        """Begins the epoch's means anew; where a run goes on in the middle of an epoch, this is not called."""
        self._sums, self._steps = None, 0

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """One step of the joint objective."""
        self._batch = batch
        loss, losses = self.objective(batch)
        values = torch.cat([loss.detach().reshape(1), losses])
        self._sums = values if self._sums is None else self._sums + values
        self._steps += 1
        return loss

    def optimizer_step(self, *arguments: Any, **named: Any) -> None:
        """The optimiser's step; method and balancer follow it before any callback saves a checkpoint."""
        super().optimizer_step(*arguments, **named)
        self.method.after_step(self)
        if type(self.balancer).after_step is not Balancer.after_step:
            assert self._batch is not None
            self.balancer.after_step(partial(self._losses_anew, self._batch))
        self._batch = None

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_index: int) -> None:
        """Logs now and then."""
        every = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every and self.global_step % every == 0:
            self._log_step(outputs["loss"])

    def _losses_anew(self, batch: Batch) -> Tensor:
        with torch.no_grad():
            return self.method.step(self, batch).losses

    def _log_step(self, loss: Tensor) -> None:
        """The loss of one step and the learning rate, packed in one call: each logged value costs milliseconds."""
        value = float(sum_over_ranks(loss)) / world_size()
        if value != value or value in (float("inf"), float("-inf")):
            raise RunError(
                f"the loss is {value} at step {self.global_step}: lower optimizer.lr, set "
                "trainer.gradient_clip_val, or look for wild values in the data"
            )
        rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        for logger in self.trainer.loggers:
            logger.log_metrics({"train/step_loss": value, "lr": rate}, step=self.global_step)

    def on_train_epoch_end(self) -> None:
        """Logs the mean losses of the epoch."""
        if self._sums is None:
            return
        means = (sum_over_ranks(self._sums) / world_size() / self._steps).tolist()
        names = ["train/loss", *(f"train/{task.name}/loss" for task in self.tasks)]
        self.log_dict(dict(zip(names, means, strict=True)))
        self._sums, self._steps = None, 0

    def configure_optimizers(self) -> Any:
        """The optimiser over the phase's parameters by group, and its schedule by step."""
        trained = {name: p for name, p in self.named_parameters() if p.requires_grad}
        optimizer = self.make_optimizer(self.make_groups(trained))
        # Lightning's estimate sets up the loader before a checkpoint is restored, and a loader that is set up
        # gets no state: a run resumed in mid-epoch would begin the epoch anew.
        total = self.total_steps or int(self.trainer.estimated_stepping_batches)
        schedule = self.make_scheduler(optimizer, total_steps=total)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips all gradients by their common norm; independent tasks each by their own."""
        if not gradient_clip_val:
            return
        scaler = getattr(getattr(self._trainer, "precision_plugin", None), "scaler", None)
        if scaler is not None and getattr(optimizer, "_step_supports_amp_scaling", False):
            scaler.unscale_(optimizer)  # a fused optimiser's step would do so, which is too late for clipping
        # And not Lightning's own way, which refuses fused optimisers in mixed precision, with a scale or without.
        if not self.sharing.independent:
            clip_grad_norm((p for group in optimizer.param_groups for p in group["params"]), gradient_clip_val)
            return
        own: dict[int | None, list[nn.Parameter]] = {}
        for name, parameter in self.named_parameters():
            own.setdefault(self.owner(name), []).append(parameter)
        for parameters in own.values():
            clip_grad_norm(parameters, gradient_clip_val)

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Collects predictions; they are scored once, from all rows."""
        self._collector.add(batch, self.predict(batch), self.columns)

    def test_step(self, batch: Batch, batch_index: int) -> None:
        """Collects predictions; they are scored once, from all rows."""
        self._collector.add(batch, self.predict(batch), self.columns)

    def on_validation_epoch_end(self) -> None:
        """Logs every metric of every task, and the combined score that picks the best epoch."""
        outcome = self._collector.finish()
        # The first rank has all rows and scores them; the others wait for its word.
        values = from_first({} if outcome is None else self._scores(outcome))
        self.log_dict({f"val/{name}": value for name, value in values.items()})

    def _scores(self, outcome: Outcome) -> dict[str, float]:
        specs = self.metrics()
        values = outcome.score(self.tasks, specs)
        constant = [head.constant_prediction(len(outcome)) for head in self.heads]  # type: ignore[operator]
        gains = combined_score(self.tasks, specs, values, outcome.predicted(constant).score(self.tasks, specs))
        return values | gains

    def on_test_epoch_end(self) -> None:
        """Keeps the test predictions, on the first rank; the run scores and writes them."""
        self.outcome = self._collector.finish()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the running means of a half-done epoch, those over all ranks: any number of them may go on."""
        sums = None if self._sums is None else sum_over_ranks(self._sums) / world_size()
        checkpoint["epoch_sums"] = (sums, self._steps)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restores the running means of a half-done epoch."""
        self._sums, self._steps = checkpoint["epoch_sums"]
