"""Regularised matrix factorisation: the sceptic's baseline."""

import math
import sys
from time import perf_counter
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from taskloom.floors.bias import known
from taskloom.floors.floor import RatingFloor, Ratings, Say, require_rows

SMALLEST_BATCH = 512
STEPS_AN_EPOCH = 160  # with more rows batches grow, not the steps
LARGE = 2_000_000  # training rows; of more, a fit to the end would take hours
SHORT = {"dim": 64, "lr": 1e-2, "decay": 0.8, "epochs": 15}  # for those: on MovieLens-1M as good as the long fit
VALIDATION_ROWS = 250_000  # of more, a sample is looked at after each epoch
PREDICTION_ROWS = 65536


class Factorisation(RatingFloor):
    r"""Mean, biases, and the inner product of a user's and an item's vector.

    .. math:: \hat y = \mu + b_u + b_i + p_u^\top q_i, \quad
       \min \frac{1}{B} \sum (y - \hat y)^2 + \lambda (\lVert p_u \rVert^2 + \lVert q_i \rVert^2)

    the sum over the rows of a batch, so that a vector is penalised as often as it is looked up. Values are
    standardised first, which frees the settings from the target's unit. Adam with a falling rate; in
    training a random part of the inner product's terms is left out; stopped by the error on validation rows,
    and the best epoch's parameters kept. Ids without training rows, 0 among them, have no bias and a zero
    vector.

    With more than 2,000,000 training rows the fit is a short one: 64 dimensions, and a rate of 1e-2 that falls by a
    fifth after each of 15 epochs; of more than 250,000 validation rows a sample is looked at.

    Source: Koren, Bell & Volinsky 2009, "Matrix factorization techniques for recommender systems", eq. 5.
    Deviations: dropout on the products; the biases are not penalised, which made no difference.

    Args:
        dim: length of the vectors.
        l2: λ >= 0, for values of standard deviation 1.
        dropout: share of the dim products left out of a training batch.
        lr: Adam's rate in the first epoch.
        decay: factor on the rate after each epoch.
        init: standard deviation of the vectors' first elements.
        epochs: at most.
        patience: epochs without a better validation error before it stops.
        seed: of the first vectors, the order of rows and the dropout.

    Example:
        >>> ids = torch.arange(1, 4)
        >>> train = Ratings(ids, ids, torch.tensor([1.0, 2.0, 3.0]))
        >>> floor = Factorisation(dim=4, epochs=2).fit(train, train, say=lambda line: None)
        >>> floor.predict(torch.tensor([0]), torch.tensor([99]))
        tensor([2.])
    """

    name = "factorisation"

    def __init__(
        self,
        dim: int = 256,
        l2: float = 0.08,
        dropout: float = 0.5,
        lr: float = 1e-3,
        decay: float = 0.95,
        init: float = 0.003,
        epochs: int = 60,
        patience: int = 6,
        seed: int = 0,
    ) -> None:
        self.dim = dim
        self.l2 = l2
        self.dropout = dropout
        self.lr = lr
        self.decay = decay
        self.init = init
        self.epochs = epochs
        self.patience = patience
        self.seed = seed

    @property
    def settings(self) -> dict[str, Any]:
        """All arguments."""
        return {
            "dim": self.dim,
            "l2": self.l2,
            "dropout": self.dropout,
            "lr": self.lr,
            "decay": self.decay,
            "init": self.init,
            "epochs": self.epochs,
            "patience": self.patience,
            "seed": self.seed,
        }

    def fit(self, train: Ratings, val: Ratings, say: Say = print) -> "Factorisation":
        """Train until the validation error has stood still for ``patience`` epochs; many rows get a `plan`."""
        require_rows(self.name, train)
        plan = self.plan(len(train))
        kind = f", a short fit of {plan.epochs} epochs with {plan.dim} dimensions" if plan is not self else ""
        say(f"floor {self.name}: fitting to {len(train):,} rows{kind} (once for these data)")
        started = perf_counter()
        self.parameters, best, epoch = plan._fit(train, plan._looked_at(val))
        seconds = perf_counter() - started
        say(f"floor {self.name}: RMSE {best:.4f} on validation rows after epoch {epoch}, {seconds:.1f} s")
        return self

    def plan(self, rows: int) -> "Factorisation":
        """Itself, or what is fitted in its place to so many training rows.

        Example:
            >>> Factorisation().plan(800_000).dim, Factorisation().plan(16_000_000).dim
            (256, 64)
        """
        return self if rows <= LARGE else Factorisation(**(self.settings | SHORT))

    def _looked_at(self, val: Ratings) -> Ratings:
        if len(val) <= VALIDATION_ROWS:
            return val
        rows = torch.randperm(len(val), generator=torch.Generator().manual_seed(self.seed))[:VALIDATION_ROWS]
        return Ratings(val.user[rows], val.item[rows], val.value[rows])

    @torch.no_grad()
    def _fit(self, train: Ratings, val: Ratings) -> tuple[dict[str, Tensor], float, int]:
        """The best epoch's parameters, their validation error, and which epoch it was."""
        generator = torch.Generator().manual_seed(self.seed)
        mean, std = train.value.mean(dtype=torch.float64), train.value.double().std(correction=0)
        std = std if std > 0 else torch.ones_like(std)
        standard = Ratings(train.user, train.item, ((train.value - mean) / std).float())
        tables = self._tables(train, generator)
        for table in tables.values():
            table.requires_grad_(True).grad = torch.zeros_like(table)
        optimizer = torch.optim.Adam(tables.values(), lr=self.lr, fused=True)

        parameters: dict[str, Tensor] = {}
        best, best_epoch = math.inf, 0
        with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bars:
            bar = bars.add_task(f"floor {self.name}", total=self.epochs)
            for epoch in range(self.epochs):
                optimizer.param_groups[0]["lr"] = self.lr * self.decay**epoch
                self._epoch(standard, tables, optimizer, generator)
                now = {"mean": mean, "std": std} | {name: table.detach() for name, table in tables.items()}
                error = float((_predict(now, val.user, val.item) - val.value).square().mean().sqrt())
                # Without validation rows the error is NaN, which is never the least: take the last epoch.
                if error < best or len(val) == 0:
                    best, best_epoch = error, epoch
                    parameters = {name: tensor.clone() for name, tensor in now.items()}
                bars.advance(bar)
                if epoch - best_epoch >= self.patience:
                    break
        return parameters, best, best_epoch + 1

    def predict(self, user: Tensor, item: Tensor) -> Tensor:
        """Mean plus biases plus inner product, (N,)."""
        return _predict(self.parameters, user, item)

    def _tables(self, train: Ratings, generator: torch.Generator) -> dict[str, Tensor]:
        tables = {}
        for side, ids in (("user", train.user), ("item", train.item)):
            rows = ids.bincount()
            rows[0] = 0  # the unknown is nobody, even where training rows have it
            vectors = torch.randn(len(rows), self.dim, generator=generator) * self.init
            # What is never trained stays zero.
            tables[f"{side}_vectors"] = vectors.masked_fill_((rows == 0).unsqueeze(1), 0)
            tables[f"{side}_bias"] = torch.zeros(len(rows), 1)
        return tables

    def _epoch(
        self,
        train: Ratings,
        tables: dict[str, Tensor],
        optimizer: torch.optim.Optimizer,
        generator: torch.Generator,
    ) -> None:
        """One pass over the rows. The gradient is written out, which spares the autograd graph."""
        P, Q, b, c = (tables[name] for name in ("user_vectors", "item_vectors", "user_bias", "item_bias"))
        batch = max(SMALLEST_BATCH, math.ceil(len(train) / STEPS_AN_EPOCH))
        for rows in torch.randperm(len(train), generator=generator).split(batch):
            user, item, value = train.user[rows], train.item[rows], train.value[rows]
            p, q = P.index_select(0, user), Q.index_select(0, item)
            # One choice a batch: as good as one a row (measured), and cheaper.
            keep = (torch.rand(1, self.dim, generator=generator) >= self.dropout) / (1 - self.dropout)
            p_kept, q_kept = p * keep, q * keep
            error = b[user] + c[item] + (p_kept * q).sum(1, keepdim=True) - value.unsqueeze(1)
            step = (
                (P, user, torch.addcmul(self.l2 * p, error, q_kept)),
                (Q, item, torch.addcmul(self.l2 * q, error, p_kept)),
                (b, user, error),
                (c, item, error),
            )
            for table, ids, gradient in step:
                assert table.grad is not None
                table.grad.zero_().index_add_(0, ids, gradient, alpha=2 / len(rows))
                table.grad[0] = 0
            optimizer.step()


def _predict(parameters: dict[str, Tensor], user: Tensor, item: Tensor) -> Tensor:
    predictions = [torch.empty(0)]
    user = known(user, len(parameters["user_bias"]))
    item = known(item, len(parameters["item_bias"]))
    for u, i in zip(user.split(PREDICTION_ROWS), item.split(PREDICTION_ROWS), strict=True):
        inner = (parameters["user_vectors"][u] * parameters["item_vectors"][i]).sum(1)
        biases = (parameters["user_bias"][u] + parameters["item_bias"][i]).squeeze(1)
        predictions.append((parameters["mean"] + parameters["std"] * (biases + inner)).float())
    return torch.cat(predictions)
