"""Ranking head: which of these first?"""

from typing import Any, Literal

import torch
from torch import Tensor

from taskloom.errors import ConfigError
from taskloom.heads.head import Head, register
from taskloom.metrics.group_ranking import group_ranking_metrics
from taskloom.metrics.spec import MetricSpec
from taskloom.schema import Batch
from taskloom.tasks import TargetStatistics, Task

#: items are one where their vectors, projected on a line, differ by less than this share of a vector's length
ALIKE = 1e-6
_NOTHING = -1e30  # what does not compete; finite, because infinity minus infinity is no number


@register("ranking")
class RankingHead(Head):
    r"""A score r, learnt by a softmax over rows that compete; predicts the score, of which only the order counts.

    ``negatives: group``: the labelled rows of a group (a user) that are in the same batch compete. The rows of a group
    have these losses, whose sum is the listwise loss of the group:

    .. math:: \ell_i = -\frac{y_i}{\sum_{j \in g} y_j} \log \frac{e^{r_i}}{\sum_{j \in g} e^{r_j}}

    A group without a positive label, or with one row alone, has a loss of 0. Groups must meet in a batch: users who
    are few beside the batch, a log that lies user by user in blocks (``data.block``), or rows that are drawn beside
    each positive one (``data.negatives``), which makes it a sampled softmax.

    ``negatives: batch``: the items of all labelled rows of the batch compete for each row's user u, by the products
    of two vectors, and the prediction is the row's own product. It takes a backbone with two sides, since no other can
    score a user beside another row's item; the tower and the wide part are left out.

    .. math:: s_{ij} = \langle u_i, v_j \rangle - \log q_j, \qquad
              \ell_i = -y_i \log \frac{e^{s_{ii}}}{\sum_{j \in C_i} e^{s_{ij}}}

    :math:`C_i` has all rows but the user's other positive ones. As in the source, other rows of the row's own item are
    in it: without them popular items would not be pushed down by their own rows. Scores tend, up to a constant, to
    :math:`\log P(v \mid u) - \log P(v)`, with P as in the batches. With ``log_q``, q is the share of the batch's rows
    that have the item: each item then competes once, not as often as it is popular, and scores tend to
    :math:`\log P(v \mid u)`. A head sees no ids: for q, two items are the same where their vectors are alike, which
    dropout in the item's side hides.

    On several ranks only the rows of one rank compete with each other, so that two ranks are not one.

    Sources: Cao et al. 2007, "Learning to rank: from pairwise approach to listwise approach" (ListNet), with the
    target of Bruch et al. 2019, "An Analysis of the Softmax Cross Entropy Loss for Learning-to-Rank with Binary
    Relevance"; Yi et al. 2019, "Sampling-bias-corrected neural modeling for large corpus item recommendations".
    Deviations from the last: q is counted in the batch, not over the stream of all batches; a user's other positive
    rows do not compete.

    Args:
        task: its target is a relevance >= 0; rows of 0 are not wanted.
        statistics: of the target on the training rows.
        width: R, the width of h.
        wide: leading channels of h that are the wide part.
        negatives: ``group`` or ``batch``.
        log_q: whether what popular items lose by competing in many rows is given back; of ``batch`` only.
        sides: d, the width of either side's vector; 0 where the backbone has no two sides.
        arguments: those of Head.

    Raises:
        ConfigError: a negative target, in-batch negatives without two sides, log_q without in-batch negatives.
    """

    def __init__(
        self,
        task: Task,
        statistics: TargetStatistics,
        width: int,
        wide: int = 0,
        *,
        negatives: Literal["group", "batch"] = "group",
        log_q: bool = False,
        sides: int = 0,
        **arguments: Any,
    ) -> None:
        where, in_batch = f"data.tasks.{task.name}", negatives == "batch"
        if statistics.least and statistics.least[0] < 0:
            raise ConfigError(
                f"{where}.target: a relevance is >= 0, and training rows go down to {statistics.least[0]:g}; add "
                "something to it, or take kind: regression"
            )
        if in_batch and not sides:
            raise ConfigError(
                f"{where}.options.negatives: batch scores each user beside the other rows' items, which takes a "
                "backbone with two sides and a model that leaves them apart, as in backbone=two_tower "
                "model=hard_sharing; choose them, or set negatives: group"
            )
        if log_q and not in_batch:
            raise ConfigError(
                f"{where}.options.log_q: it corrects in-batch negatives; set negatives: batch, or leave it out"
            )
        self.negatives, self.log_q = negatives, log_q
        # The two sides are all that in-batch scores are made of: a tower would have parameters that nothing reads.
        size = (0, 0) if in_batch else (width, wide)
        super().__init__(task, statistics, *size, sides=sides, **arguments)
        if in_batch:
            self.bias, self.n_raw = None, 2 * sides
        else:
            with torch.no_grad():
                self.output_bias().zero_()

    def forward(self, h: Tensor) -> Tensor:
        """Representation (B, R) to scores (B, 1), or to the vectors of user and item, side by side, (B, 2d)."""
        return h[:, -2 * self.sides :] if self.negatives == "batch" else super().forward(h)

    def loss(self, raw: Tensor, target: Tensor, context: Batch) -> Tensor:
        """Each row's part of the listwise loss (B,); rows that lack a label of this task do not compete."""
        labelled, y = context.labelled[:, self.position], target.squeeze(1)
        if self.negatives == "group":
            return _in_group(raw.squeeze(1).float(), y, labelled, context.group)
        with torch.autocast(raw.device.type, enabled=False):
            return self._in_batch(raw.float(), y, labelled, context.group)

    def _in_batch(self, raw: Tensor, y: Tensor, labelled: Tensor, group: Tensor) -> Tensor:
        users, items = raw.chunk(2, dim=1)
        scores = users @ items.T
        out = ((group[:, None] == group) & (y > 0)) | ~labelled
        out.fill_diagonal_(False)
        if self.log_q:
            item = _numbers(items.detach())
            rows = item[labelled].bincount(minlength=len(item))[item].clamp_min(1)
            scores = scores - (rows / labelled.sum().clamp_min(1)).log()
        return y * (scores.masked_fill(out, _NOTHING).logsumexp(1) - scores.diagonal())

    def predict(self, raw: Tensor) -> Tensor:
        """Scores (B,), which have no unit."""
        if self.negatives == "group":
            return raw.squeeze(1).float()
        users, items = raw.float().chunk(2, dim=1)
        return (users * items).sum(1)

    def metrics(self) -> dict[str, MetricSpec]:
        """NDCG at 10 within groups (main), MRR, and the share of groups that NDCG speaks for."""
        return group_ranking_metrics()


def _numbers(items: Tensor) -> Tensor:
    """A number for each row's item, int64 (B,): equal ones for equal vectors (B, d).

    Not by comparing vectors: products of large matrices round equal rows otherwise.

    Example:
        >>> _numbers(torch.tensor([[1.0, 2.0], [3.0, 1.0], [1.0, 2.0 + 1e-7]]))
        tensor([0, 1, 0])
    """
    line = torch.arange(1, items.shape[1] + 1, dtype=torch.float64, device=items.device).cos()
    place, order = (items.double() @ line).sort()
    apart = place.diff() > ALIKE * items.double().norm(dim=1).mean()
    return torch.zeros_like(order).index_copy(0, order[1:], apart.cumsum(0))


def _in_group(scores: Tensor, y: Tensor, labelled: Tensor, group: Tensor) -> Tensor:
    """-y_i / Σ y · log softmax_i over the labelled rows of each group, (B,)."""
    groups, place = group.unique(return_inverse=True)
    scores = scores.masked_fill(~labelled, _NOTHING)
    zeros = scores.new_zeros(len(groups))
    top = zeros.scatter_reduce(0, place, scores.detach(), "amax", include_self=False)
    below = scores - top[place]
    log_sum = zeros.index_add(0, place, below.exp()).log()
    y = y.masked_fill(~labelled, 0)
    share = y / zeros.index_add(0, place, y)[place].clamp_min(torch.finfo(y.dtype).tiny)
    return (share * (log_sum[place] - below)).masked_fill(y == 0, 0)
