"""Gradient boosting by LightGBM."""

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from taskloom.floors.boosting import UNJUDGED_TREES, Boosting
from taskloom.floors.table_floor import Fitted, Loss, validation_error


class LightGBM(Boosting):
    """The same model as ``boosting``, by LightGBM; it needs the extra ``boosting``.

    Source: Ke et al. 2017, "LightGBM: a highly efficient gradient boosting decision tree". Deviations: none.

    Args:
        arguments: those of `Boosting`.
    """

    name = "lightgbm"
    package: ClassVar[str | None] = "lightgbm"

    def learn(self, loss: Loss, x: Any, y: NDArray, x_val: Any, y_val: NDArray, encoder: Any) -> Fitted:
        """Grow trees until the validation loss has stood still for ``patience`` of them."""
        import lightgbm

        judged = len(y_val) > 0
        options = {
            "objective": {"logistic": "binary", "softmax": "multiclass", "squared": "regression"}.get(loss, loss),
            "learning_rate": self.rate,
            "num_leaves": self.leaves,
            "deterministic": True,
            "force_row_wise": True,
            "seed": 0,
            "verbosity": -1,
        }
        if loss == "softmax":
            options["num_class"] = int(y.max()) + 1
        train = lightgbm.Dataset(x, y, categorical_feature=list(range(encoder.categorical if encoder else 0)))
        model = lightgbm.train(
            options,
            train,
            num_boost_round=self.trees if judged else min(self.trees, UNJUDGED_TREES),
            valid_sets=[lightgbm.Dataset(x_val, y_val, reference=train)] if judged else None,
            callbacks=[lightgbm.early_stopping(self.patience, verbose=False)] if judged else None,
        )
        best = model.best_iteration if judged else model.num_trees()

        def predict(rows: Any) -> NDArray:
            return np.asarray(model.predict(rows))  # by the best trees: training hands over no others

        error = validation_error(loss, y_val, predict(x_val)) if judged else math.nan
        return Fitted(predict, f"{best} trees", error)
