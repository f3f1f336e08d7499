"""Regularised matrix factorisation: the sceptic's baseline."""

import math
import sys
from collections.abc import Iterator
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
ROWS_AN_EPOCH = 1_000_000  # of more training rows an epoch takes the next so many, so that a fit is bounded
VALIDATION_ROWS = 250_000  # of more a sample is looked at after each epoch
PREDICTION_ROWS = 65536


class Factorisation(RatingFloor):
    r"""Mean, biases, and the inner product of a user's and an item's vector.

    .. math:: \hat y = \mu + b_u + b_i + p_u^\top q_i, \quad
       \min \frac{1}{B} \sum (y - \hat y)^2 + \lambda (\lVert p_u \rVert^2 + \lVert q_i \rVert^2)

    the sum over the rows of a batch, so that a vector is penalised as often as it is looked up. Values are
    standardised first, which frees the settings from the target's unit. Adam with a falling rate; in
    training a random part of the inner product's terms is left out; stopped by the error on validation rows,
    and the best epoch's parameters kept. An epoch is a pass over the rows, or of more than 1,000,000 the next so
    many of a shuffled pass; validation rows beyond 250,000 are not looked at. Ids without training rows, 0 among them, have no bias and a zero
    vector.

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

    @torch.no_grad()
    def fit(self, train: Ratings, val: Ratings, say: Say = print) -> "Factorisation":
        """Train until the validation error has stood still for ``patience`` epochs."""
        require_rows(self.name, train)
        rows = f"{len(train):,} rows"
        if len(train) > ROWS_AN_EPOCH:
            rows += f", {ROWS_AN_EPOCH:,} an epoch"
        say(f"floor {self.name}: fitting to {rows} (once for these data)")
        started = perf_counter()
        generator = torch.Generator().manual_seed(self.seed)
        val = self._sample(val)
        mean, std = train.value.mean(dtype=torch.float64), train.value.double().std(correction=0)
        std = std if std > 0 else torch.ones_like(std)
        standard = Ratings(train.user, train.item, ((train.value - mean) / std).float())
        tables = self._tables(train, generator)
        for table in tables.values():
            table.requires_grad_(True).grad = torch.zeros_like(table)
        optimizer = torch.optim.Adam(tables.values(), lr=self.lr, fused=True)
        epochs = _epochs(len(train), generator)

        best, best_epoch = math.inf, 0
        with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bars:
            bar = bars.add_task(f"floor {self.name}", total=self.epochs)
            for epoch in range(self.epochs):
                optimizer.param_groups[0]["lr"] = self.lr * self.decay**epoch
                self._epoch(standard, next(epochs), tables, optimizer, generator)
                now = {"mean": mean, "std": std} | {name: table.detach() for name, table in tables.items()}
                error = float((_predict(now, val.user, val.item) - val.value).square().mean().sqrt())
                # Without validation rows the error is NaN, which is never the least: take the last epoch.
                if error < best or len(val) == 0:
                    best, best_epoch = error, epoch
                    self.parameters = {name: tensor.clone() for name, tensor in now.items()}
                bars.advance(bar)
                if epoch - best_epoch >= self.patience:
                    break
        say(
            f"floor {self.name}: RMSE {best:.4f} on validation rows after epoch {best_epoch + 1}, "
            f"{perf_counter() - started:.1f} s"
        )
        return self

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

    def _sample(self, val: Ratings) -> Ratings:
        if len(val) <= VALIDATION_ROWS:
            return val
        rows = torch.randperm(len(val), generator=torch.Generator().manual_seed(self.seed))[:VALIDATION_ROWS]
        return Ratings(val.user[rows], val.item[rows], val.value[rows])

    def _epoch(
        self,
        train: Ratings,
        order: Tensor,
        tables: dict[str, Tensor],
        optimizer: torch.optim.Optimizer,
        generator: torch.Generator,
    ) -> None:
        """Steps over rows in an order. The gradient is written out, which spares the autograd graph."""
        P, Q, b, c = (tables[name] for name in ("user_vectors", "item_vectors", "user_bias", "item_bias"))
        batch = max(SMALLEST_BATCH, math.ceil(len(order) / STEPS_AN_EPOCH))
        for rows in order.split(batch):
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


def _epochs(n: int, generator: torch.Generator) -> Iterator[Tensor]:
    """The rows of each epoch, without end: pass after pass over all n in a new order, in pieces of like size."""
    pieces = math.ceil(n / ROWS_AN_EPOCH)
    while True:
        yield from torch.randperm(n, generator=generator).chunk(pieces)


def _predict(parameters: dict[str, Tensor], user: Tensor, item: Tensor) -> Tensor:
    predictions = [torch.empty(0)]
    user = known(user, len(parameters["user_bias"]))
    item = known(item, len(parameters["item_bias"]))
    for u, i in zip(user.split(PREDICTION_ROWS), item.split(PREDICTION_ROWS), strict=True):
        inner = (parameters["user_vectors"][u] * parameters["item_vectors"][i]).sum(1)
        biases = (parameters["user_bias"][u] + parameters["item_bias"][i]).squeeze(1)
        predictions.append((parameters["mean"] + parameters["std"] * (biases + inner)).float())
    return torch.cat(predictions)
