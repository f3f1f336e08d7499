"""Linear models on one-hot columns."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from taskloom.floors.inputs import LINEAR_IDS, OneHot
from taskloom.floors.table_floor import Fitted, Loss, TableFloor, validation_error


class Linear(TableFloor):
    r"""Logistic, softmax, Poisson or ridge regression, by the task's kind, on one-hot columns.

    .. math:: \min_{w, c} \sum_i \ell(y_i, w^\top x_i + c) + \tfrac{\alpha}{2} \lVert w \rVert_2^2

    with the negative log-likelihood for ℓ (ridge: half the squared error), x the one-hot ids, the multi-hot bags and
    the scaled dense columns. α is chosen on validation rows, from the strongest to the weakest, each fit beginning
    where the last ended, until two in a row make it worse.

    Source: McCullagh & Nelder 1989, "Generalized linear models"; scikit-learn's solvers. Deviations: none.

    Args:
        penalties: candidates for α > 0; without validation rows the middle one is taken.
        steps: of the solver (L-BFGS; ridge: conjugate gradients), at most.

    Example:
        >>> y = np.array([0.0, 0.0, 1.0, 1.0])
        >>> x = np.array([[-1.0], [-1.0], [1.0], [1.0]])
        >>> Linear(penalties=[0.1]).learn("squared", x, y, x, y, None).predict(x).round(2)
        array([0.01, 0.01, 0.99, 0.99])
    """

    name = "linear"
    encoder: ClassVar[Any] = OneHot

    def __init__(self, penalties: Sequence[float] = (1024, 256, 64, 16, 4, 1, 0.25, 0.0625), steps: int = 200) -> None:
        self.penalties = sorted((float(p) for p in penalties), reverse=True)
        self.steps = steps

    @property
    def settings(self) -> dict[str, Any]:
        """The candidates, the steps and the number of ids that get a column."""
        return {"penalties": self.penalties, "steps": self.steps, "ids": LINEAR_IDS}

    def learn(self, loss: Loss, x: Any, y: NDArray, x_val: Any, y_val: NDArray, encoder: Any) -> Fitted:
        """Walk along the penalties and keep the fit that predicts the validation rows best."""
        if len(y_val) == 0:
            penalty = self.penalties[len(self.penalties) // 2]
            return Fitted(_fit(loss, x, y, penalty, self.steps, None)[0], f"L2 {penalty:g}", math.nan)
        best, start, worse = Fitted(_nothing, "", math.inf), None, 0
        for penalty in self.penalties:
            predict, start = _fit(loss, x, y, penalty, self.steps, start)
            error = validation_error(loss, y_val, predict(x_val))
            worse = 0 if error < best.error else worse + 1
            if error < best.error:
                best = Fitted(predict, f"L2 {penalty:g}", error)
            if worse == 2:
                break
        return best


def _nothing(x: Any) -> NDArray:
    raise AssertionError("no penalty gave a finite error")


def _fit(loss: Loss, x: Any, y: NDArray, penalty: float, steps: int, start: Any) -> tuple[Any, Any]:
    """One fit; its predict function, and the estimator that the next fit begins from."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge

    with warnings.catch_warnings():
        # Where the solver stops early, the validation error says what the fit is worth.
        warnings.simplefilter("ignore", ConvergenceWarning)
        if loss == "squared":
            return Ridge(alpha=penalty, max_iter=steps, tol=1e-5).fit(x, y).predict, None
        model = start
        if loss == "poisson":
            alpha = penalty / len(y)  # scikit-learn's objective is a mean over rows
            model = model or PoissonRegressor(max_iter=steps, warm_start=True)
            return _frozen(model.set_params(alpha=alpha).fit(x, y), "predict"), model
        model = model or LogisticRegression(max_iter=steps, warm_start=True)
        fitted = _frozen(model.set_params(C=1 / penalty).fit(x, y.astype(np.int64)), "predict_proba")
        return (fitted if loss == "softmax" else lambda rows: fitted(rows)[:, 1]), model


def _frozen(model: Any, method: str) -> Any:
    """A model's method as the model is now: its next fit is another."""
    from copy import deepcopy

    return getattr(deepcopy(model), method)
