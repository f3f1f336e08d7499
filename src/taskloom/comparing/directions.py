"""Which way a metric is better, for those that run.json does not tell: all but the main ones."""

import re

_HIGHER = {
    "auc",
    "gauc",
    "average_precision",
    "macro_auc",
    "micro_average_precision",
    "accuracy",
    "macro_f1",
    "r2",
    "kappa",
    "score",
}
_LOWER = {"log_loss", "calibration_error", "rmse", "mae", "deviance"}
_RANKING = re.compile(r"^(ndcg|recall|mrr)@\d+$")


def higher_is_better(metric: str) -> bool | None:
    """Whether more of a metric is better; None for one that is neither good nor bad, or not known here.

    Example:
        >>> [higher_is_better(name) for name in ("auc", "rmse", "ndcg@10", "gauc_coverage")]
        [True, False, True, None]
    """
    if metric in _HIGHER or _RANKING.match(metric):
        return True
    return False if metric in _LOWER else None
