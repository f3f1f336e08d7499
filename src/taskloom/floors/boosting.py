"""Histogram gradient boosting."""

import math
from itertools import islice
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from taskloom.floors.inputs import TREE_BAG_IDS, TREE_IDS, TreeColumns
from taskloom.floors.table_floor import Fitted, Loss, TableFloor, validation_error

#: trees where no validation row says when to stop
UNJUDGED_TREES = 100


class Boosting(TableFloor):
    r"""Gradient boosting of decision trees on histograms, by scikit-learn; ids are categories, not numbers.

    .. math:: F_m = F_{m-1} + \nu\, h_m, \qquad h_m \approx -\nabla_F \sum_i \ell(y_i, F(x_i))

    with trees h of at most ``leaves`` leaves. The number of trees m is the one with the least loss on validation rows.

    Source: Friedman 2001, "Greedy function approximation: a gradient boosting machine"; Ke et al. 2017, "LightGBM: a
    highly efficient gradient boosting decision tree" (the histograms). Deviations: none.

    Args:
        rate: ν.
        leaves: of a tree, at most.
        trees: at most; 100 where there are no validation rows.
        patience: trees without a better validation loss before it stops.

    Example:
        >>> x = np.arange(100, dtype=np.float32)[:, None]
        >>> y = (x[:, 0] >= 50).astype(np.float64)
        >>> Boosting().learn("logistic", x, y, x, y, None).predict(x[[10, 90]]).round(2)
        array([0., 1.])
    """

    name = "boosting"
    encoder: ClassVar[Any] = TreeColumns

    def __init__(self, rate: float = 0.1, leaves: int = 31, trees: int = 1000, patience: int = 20) -> None:
        self.rate, self.leaves, self.trees, self.patience = rate, leaves, trees, patience

    @property
    def settings(self) -> dict[str, Any]:
        """All arguments, and the number of ids that are told apart."""
        return {
            "rate": self.rate,
            "leaves": self.leaves,
            "trees": self.trees,
            "patience": self.patience,
            "ids": TREE_IDS,
            "bag_ids": TREE_BAG_IDS,
        }

    def learn(self, loss: Loss, x: Any, y: NDArray, x_val: Any, y_val: NDArray, encoder: Any) -> Fitted:
        """Grow trees until the validation loss has stood still for ``patience`` of them."""
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        judged = len(y_val) > 0
        categories = np.arange(x.shape[1]) < (encoder.categorical if encoder else 0)
        shared = {
            "learning_rate": self.rate,
            "max_leaf_nodes": self.leaves,
            "max_iter": self.trees if judged else min(self.trees, UNJUDGED_TREES),
            "early_stopping": judged,
            "n_iter_no_change": self.patience,
            "tol": 0,
            "scoring": "loss",
            "categorical_features": categories,
            "random_state": 0,
        }
        classifies = loss in ("logistic", "softmax")
        if classifies:
            model = HistGradientBoostingClassifier(**shared)
        else:
            model = HistGradientBoostingRegressor(loss="poisson" if loss == "poisson" else "squared_error", **shared)
        model.fit(x, y, **({"X_val": x_val, "y_val": y_val} if judged else {}))
        # The score is minus the loss, first without any tree. What grew after the best tree is left out.
        best = max(1, int(np.argmax(model.validation_score_))) if judged else model.n_iter_
        staged = model.staged_predict_proba if classifies else model.staged_predict

        def predict(rows: Any) -> NDArray:
            predicted = next(islice(staged(rows), best - 1, None))
            return predicted[:, 1] if loss == "logistic" else predicted

        error = validation_error(loss, y_val, predict(x_val)) if judged else math.nan
        return Fitted(predict, f"{best} trees", error)
