"""The constant predictor."""

from typing import Any

from torch import Tensor

from taskloom.floors.floor import Ratings, Say, TaskFloor, require_rows


class Constant(TaskFloor):
    """The same prediction for everybody: the mean of the labelled training targets (binary: the base rate).

    Example:
        >>> import torch
        >>> nobody = torch.zeros(2, dtype=torch.int64)
        >>> Constant(0.25).predict(nobody, nobody)
        tensor([0.2500, 0.2500])
    """

    name = "constant"

    @property
    def settings(self) -> dict[str, Any]:
        """None: the mean is what it learns."""
        return {}

    def fit(self, train: Ratings, val: Ratings, say: Say = print) -> "Constant":
        """Take the mean of the training values."""
        require_rows(self.name, train)
        self.parameters = {"mean": train.value.double().mean().float()}
        return self

    def predict(self, user: Tensor, item: Tensor) -> Tensor:
        """The mean, (N,) times."""
        return self.parameters["mean"].expand(len(user)).clone()
