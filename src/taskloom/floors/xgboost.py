"""Gradient boosting by XGBoost."""

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from taskloom.floors.boosting import UNJUDGED_TREES, Boosting
from taskloom.floors.table_floor import Fitted, Loss, validation_error


class XGBoost(Boosting):
    """The same model as ``boosting``, by XGBoost; it needs the extra ``boosting``.

    Trees grow leaf by leaf up to ``leaves``, without a limit of depth, as those of the other two do.

    Source: Chen & Guestrin 2016, "XGBoost: a scalable tree boosting system". Deviations: none.

    Args:
        arguments: those of `Boosting`.
    """

    name = "xgboost"
    package: ClassVar[str | None] = "xgboost"

    def learn(self, loss: Loss, x: Any, y: NDArray, x_val: Any, y_val: NDArray, encoder: Any) -> Fitted:
        """Grow trees until the validation loss has stood still for ``patience`` of them."""
        import xgboost

        judged = len(y_val) > 0
        n_categorical = encoder.categorical if encoder else 0
        kinds = ["c"] * n_categorical + ["q"] * (x.shape[1] - n_categorical)

        def matrix(rows: Any, target: NDArray | None = None) -> Any:
            return xgboost.DMatrix(rows, target, feature_types=kinds, enable_categorical=True)

        options = {
            "objective": {
                "logistic": "binary:logistic",
                "softmax": "multi:softprob",
                "squared": "reg:squarederror",
                "poisson": "count:poisson",
            }[loss],
            "tree_method": "hist",
            "grow_policy": "lossguide",
            "learning_rate": self.rate,
            "max_leaves": self.leaves,
            "max_depth": 0,
            "seed": 0,
        }
        if loss == "softmax":
            options["num_class"] = int(y.max()) + 1
        model = xgboost.train(
            options,
            matrix(x, y),
            num_boost_round=self.trees if judged else min(self.trees, UNJUDGED_TREES),
            evals=[(matrix(x_val, y_val), "val")] if judged else None,
            early_stopping_rounds=self.patience if judged else None,
            verbose_eval=False,
        )
        best = model.best_iteration + 1 if judged else model.num_boosted_rounds()

        def predict(rows: Any) -> NDArray:
            return np.asarray(model.predict(matrix(rows), iteration_range=(0, best)))

        error = validation_error(loss, y_val, predict(x_val)) if judged else math.nan
        return Fitted(predict, f"{best} trees", error)
