"""SparseAdam: Adam that moves of a table with sparse gradients the rows looked up alone."""

from collections.abc import Callable, Iterable
from typing import Any

import torch

from taskloom.errors import ConfigError
from taskloom.ranges import NonNegative, Positive


class SparseAdam(torch.optim.Adam):
    r"""Adam for all parameters, lazy where a gradient is sparse.

    A row of a table that a step does not look up keeps its value and its moments; one that it does moves as in Adam:

    .. math:: m_r \leftarrow \beta_1 m_r + (1 - \beta_1) g_r, \quad v_r \leftarrow \beta_2 v_r + (1 - \beta_2) g_r^2,
        \quad \theta_r \leftarrow \theta_r - \eta \frac{\sqrt{1 - \beta_2^t}}{1 - \beta_1^t}
        \frac{m_r}{\sqrt{v_r} + \epsilon}

    t counts the steps of the table, not those of the row. It is another algorithm than Adam, whose rows go on moving
    by their old moments: a step costs by the rows of a batch, and not by those of the table.

    One optimiser with one state, because a schedule, a checkpoint and clipping want one: ``torch.optim.Adam`` moves
    the parameters with dense gradients, ``torch.optim.SparseAdam`` the others.

    Source: Kingma & Ba 2015, "Adam"; the lazy form is PyTorch's. Deviations: none from theirs.

    Args:
        params: parameters or groups of them.
        lr: η.
        betas: β1, β2.
        eps: ε.
        weight_decay: of parameters with dense gradients alone.
        fused: one kernel for all dense gradients.

    Raises:
        ConfigError: in a step: weight decay of a table with sparse gradients.

    Example:
        >>> table = torch.nn.Embedding(3, 1, sparse=True)
        >>> before = table.weight.detach().clone()
        >>> optimizer = SparseAdam(table.parameters(), lr=0.5)
        >>> table(torch.tensor([1])).sum().backward()
        >>> optimizer.step()
        >>> torch.round(table.weight.detach() - before, decimals=4).flatten().tolist()
        [0.0, -0.5, 0.0]
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: Positive = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: Positive = 1e-8,
        weight_decay: NonNegative = 0.0,
        fused: bool | None = None,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, fused=fused)
        self._lazy = torch.optim.SparseAdam([torch.zeros(1)])

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step.

        Args:
            closure: computes the loss and the gradients anew.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        groups = self.param_groups
        # Both keep their moments in this optimiser's state, under the same names.
        self._lazy.state, self._lazy.param_groups = self.state, [_part(group, sparse=True) for group in groups]
        for group in self._lazy.param_groups:
            if group["params"] and group["weight_decay"]:
                raise ConfigError(
                    "features.sparse: weight decay would move every row of a table; set weight_decay=0 for its group "
                    "(parameter_groups.embeddings), and features.l2 for the rows looked up"
                )
            for parameter in group["params"]:
                if state := self.state.get(parameter):
                    # Loading makes it a float32 tensor, whose powers are not those of a number.
                    state["step"] = int(state["step"])
        self._lazy.step()
        self.param_groups = [_part(group, sparse=False) for group in groups]
        try:
            super().step()
        finally:
            self.param_groups = groups
        return loss


def _part(group: dict[str, Any], sparse: bool) -> dict[str, Any]:
    """A group with those of its parameters whose gradients are sparse, or not."""
    return {**group, "params": [p for p in group["params"] if p.grad is not None and p.grad.is_sparse == sparse]}
