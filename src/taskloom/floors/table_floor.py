"""TableFloor: a predictor fitted to one task and to the table's own columns. Problem: what it is fitted to."""

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from time import perf_counter
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taskloom.floors.floor import Floor, Say, require_rows
from taskloom.floors.inputs import Encoder, Inputs
from taskloom.schema import Schema
from taskloom.tasks import Task

Loss = Literal["logistic", "softmax", "squared", "poisson"]
#: the loss by the task's kind; table floors have nothing to say of another kind
LOSSES: dict[str, Loss] = {
    "binary": "logistic",
    "multilabel": "logistic",
    "multiclass": "softmax",
    "regression": "squared",
    "ordinal": "squared",
    "count": "poisson",
    "zero_inflated": "squared",
    "ranking": "squared",
}
Predict = Callable[[Inputs], Tensor]
#: rows that are predicted at once
PREDICTION_ROWS = 262_144


class Part(NamedTuple):
    """Rows with a label.

    Args:
        inputs: N rows.
        target: float32 (N, t), finite.
    """

    inputs: Inputs
    target: Tensor


@dataclass(frozen=True)
class Problem:
    """One task and the rows that have a label of it.

    Args:
        task: its kind picks the loss.
        schema: of the input columns.
        train: to learn from.
        val: settings are chosen by these, which are never learned from; may be empty.
        classes: of a multiclass task the target's C values, rising.
        labelled: training rows that there are, where ``train`` is a sample of them.
    """

    task: Task
    schema: Schema
    train: Part
    val: Part
    classes: Sequence[float] = ()
    labelled: int = 0

    @cached_property
    def digest(self) -> str:
        """Of all that shapes a fit beside the floor itself."""
        features = [(f.kind, f.size, f.width) for f in self.schema.features]
        text = f"{self.task.kind} {sorted(self.task.options.items())} {list(self.classes)} {features}"
        found = hashlib.sha256(text.encode())
        for part in (self.train, self.val):
            found.update(part.inputs.digest.encode())
            found.update(np.ascontiguousarray(part.target.numpy()).data)
        return found.hexdigest()


class Fitted(NamedTuple):
    """What a fit has learned.

    Args:
        predict: a matrix (N, D) to probabilities, counts or numbers (N,); of "softmax" probabilities (N, classes).
        about: the settings that were chosen, in words.
        error: the loss on validation rows; NaN where there are none.
    """

    predict: Callable[[Any], NDArray]
    about: str
    error: float


class TableFloor(Floor):
    """A predictor that is fitted to one task at a time, from the encoded columns of the table.

    Binary and multilabel tasks get a probability for each column, multiclass ones a probability for each class;
    regression, ordinal and count tasks a number in the target's own units (``transform: log1p`` is fitted to log(1 + y)
    and turned back). A target that is alike on all training rows is predicted as such.

    A subclass sets ``name``, ``settings`` and ``encoder``, and writes ``learn``.
    """

    encoder: ClassVar[Callable[[Schema, Inputs], Encoder]]

    @abstractmethod
    def learn(self, loss: Loss, x: Any, y: NDArray, x_val: Any, y_val: NDArray, encoder: Any) -> Fitted:
        """Fit to one column.

        Args:
            loss: what is minimised.
            x: matrix of the training rows, from ``encoder``.
            y: float64 (N,); of "softmax" classes 0, 1, ..., each of which is there. It takes two values at least.
            x_val: matrix of the validation rows; may have none.
            y_val: their targets; choose settings by these and learn nothing from them.
            encoder: what made the matrices.
        """

    def fit(self, problem: Problem, say: Say = print) -> Predict:
        """Fit to a task.

        Args:
            problem: the task and its labelled rows.
            say: takes a line for people.

        Returns:
            From rows to float32 (N, t), predictions of the t target columns in their own units; of a multiclass task
            probabilities (N, C) of ``problem.classes``.

        Raises:
            DataError: there is no training row.
        """
        task, train, val = problem.task, problem.train, problem.val
        require_rows(self.name, train.target, f"data.tasks.{task.name}")
        n = f"{len(train.target):,} rows"
        if problem.labelled > len(train.target):
            n = f"{len(train.target):,} of {problem.labelled:,} rows, a sample"
        say(f"floor {self.name}: {task.name}, fitting to {n} (once for these data)")
        started = perf_counter()
        encoder = type(self).encoder(problem.schema, train.inputs)
        x, x_val = encoder(train.inputs), encoder(val.inputs)
        columns, words = [], []
        for place in range(train.target.shape[1]):
            y, y_val = (part.target[:, place].double().numpy() for part in (train, val))
            predict, said = self._fit_column(problem, x, y, x_val, y_val, encoder)
            columns.append(predict)
            words.append(said)
        others = len(words) - 1
        more = f" (and {others} column{'s' if others > 1 else ''} more)" if others else ""
        say(f"floor {self.name}: {task.name}, {words[0]}{more}, {perf_counter() - started:.1f} s")
        return lambda rows: _in_chunks(encoder, columns, rows)

    def _fit_column(
        self, problem: Problem, x: Any, y: NDArray, x_val: Any, y_val: NDArray, encoder: Encoder
    ) -> tuple[Callable[[Any], NDArray], str]:
        """A function from a matrix to predictions (N, 1), of a multiclass task (N, C), and words about it."""
        loss = LOSSES[problem.task.kind]
        values = np.unique(y)
        if loss == "softmax":
            # A class that training lacks cannot be learned, and rows of it cannot judge a fit.
            known = np.isin(y_val, values).nonzero()[0]
            x_val, y_val, y = x_val[known], _places(values, y_val[known]), _places(values, y)
            seen = np.searchsorted(problem.classes, values)
        if len(values) == 1:
            alone = np.eye(len(problem.classes))[seen] if loss == "softmax" else values[None]
            return lambda rows: np.repeat(alone, rows.shape[0], axis=0), "one value alone"
        if problem.task.options.get("transform") == "log1p":
            fitted = self.learn(loss, x, np.log1p(y), x_val, np.log1p(y_val), encoder)
            return lambda rows: np.expm1(fitted.predict(rows)).clip(0)[:, None], _words(loss, fitted)
        fitted = self.learn(loss, x, y, x_val, y_val, encoder)
        if loss == "softmax":
            return lambda rows: fitted.predict(rows) @ np.eye(len(problem.classes))[seen], _words(loss, fitted)
        return lambda rows: fitted.predict(rows)[:, None], _words(loss, fitted)


def _in_chunks(encoder: Encoder, columns: Sequence[Callable[[Any], NDArray]], rows: Inputs) -> Tensor:
    parts = []
    for start in range(0, len(rows), PREDICTION_ROWS):
        matrix = encoder(rows.select(slice(start, start + PREDICTION_ROWS)))
        parts.append(np.concatenate([predict(matrix) for predict in columns], axis=1))
    return torch.from_numpy(np.concatenate(parts).astype(np.float32))


def _places(values: NDArray, of: NDArray) -> NDArray:
    return np.searchsorted(values, of).astype(np.float64)


def _words(loss: Loss, fitted: Fitted) -> str:
    if np.isnan(fitted.error):
        return f"{fitted.about}, no validation rows"
    name = {"logistic": "log loss", "softmax": "log loss", "squared": "RMSE", "poisson": "Poisson deviance"}[loss]
    return f"{name} {fitted.error:.4f} on validation rows with {fitted.about}"


def validation_error(loss: Loss, y: NDArray, predicted: NDArray) -> float:
    r"""The error by which settings are chosen; NaN without rows.

    Log loss in nats of "logistic" and "softmax", root mean squared error of "squared", and of "poisson" the mean
    deviance :math:`2 \,(y \log (y / \mu) - y + \mu)`.

    Example:
        >>> round(validation_error("logistic", np.array([1.0, 0.0]), np.array([0.5, 0.5])), 4)
        0.6931
    """
    if len(y) == 0:
        return float("nan")
    if loss == "squared":
        return float(np.sqrt(np.mean((y - predicted) ** 2)))
    if loss == "poisson":
        mu = np.maximum(predicted, 1e-12)
        logs = np.where(y > 0, y * np.log(np.where(y > 0, y, 1) / mu), 0)
        return float(2 * np.mean(logs - y + mu))
    if loss == "softmax":
        of_class = predicted[np.arange(len(y)), y.astype(np.int64)]
    else:
        of_class = np.where(y > 0, predicted, 1 - predicted)
    return float(-np.log(np.clip(of_class, 1e-7, 1)).mean())
