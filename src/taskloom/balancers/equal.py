"""Equal weights: the sum of the losses with the task weights of the config."""

from torch import Tensor

from taskloom.balancers.balancer import Balancer, Gradients


class Equal(Balancer):
    r"""The weighted sum, with each task's ``weight`` from the config and 1 by default.

    .. math:: L = \sum_k w_k L_k

    Source: the baseline of Kurin et al. 2022, "In Defense of the Unitary Scalarization for Deep Multi-Task
    Learning". Deviations: none.

    Args:
        tasks: the K tasks, in order.

    Example:
        >>> import torch
        >>> from taskloom.tasks import Task
        >>> equal = Equal([Task("like", "binary"), Task("rating", "regression", weight=0.5)])
        >>> losses = torch.tensor([0.7, 1.0])
        >>> equal.balance(losses, torch.tensor([True, True]), Gradients(losses, ()))[0]
        tensor([1.0000, 0.5000])
    """

    def balance(self, losses: Tensor, labelled: Tensor, gradients: Gradients) -> tuple[Tensor, Tensor]:
        """The task weights, and no extra loss."""
        return self.task_weights, losses.new_zeros(())
