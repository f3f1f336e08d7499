"""Dead embeddings: whether a penalty has left nothing of what a table had to tell."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from taskloom.features.features import Features

#: of the standard deviation that rows begin with. Where embeddings live, the median row has .4 to 2 of it at the end
#: (fm and mlp on MovieLens-1M), and .13 where they have only begun to grow; where the penalty has won, 5e-13 (mlp
#: there, with .134) and 3e-4 (MovieLens-100K, single_task on mlp with .24, 8 epochs).
DEAD = 0.01
#: rows of a table that are looked at, evenly over it
MOST = 10_000


def dead_embeddings(features: Features, tasks: Sequence[str]) -> str | None:
    """What to tell people at the end of a training whose penalty has won; None where it has not.

    An embedding learns through weights that it is multiplied by, and they through it: where both have become small
    neither grows, or only after many epochs, and every row gets the same prediction. A factorisation stands several
    times the penalty that an MLP does.

    Args:
        features: as the training left them.
        tasks: names, in the order of the views.

    Example:
        >>> from taskloom.schema import Feature, Schema
        >>> schema = Schema((Feature("user", "categorical", "user", size=50),), targets=("like",))
        >>> features = Features(schema, n_tasks=1, dim=4, l2=0.5)
        >>> dead_embeddings(features, ["like"]) is None
        True
        >>> _ = features.tables[0].weight.data.zero_()
        >>> dead_embeddings(features, ["like"])
        'the penalty has brought most embeddings to zero, where they tell nothing: lower features.l2, which is 0.5'
    """
    tables: list[Any] = list(features.tables)
    dead = [view for view, table in enumerate(tables) if _is_dead(table, features.init_std)]
    if not features.l2 or not dead:
        return None
    names = [*tasks, "all tasks"]  # the last is the shared view, where there is one beside the tasks' own
    whose = "" if len(dead) == len(tables) else " of " + ", ".join(names[view] for view in dead)
    return (
        f"the penalty has brought most embeddings{whose} to zero, where they tell nothing: lower features.l2, which is "
        f"{features.l2:g}"
    )


def _is_dead(table: Any, std: float) -> bool:
    """Whether the median row is nearly nothing: of a table of several widths, by the components that all rows have."""
    weight: Any = table.levels[0].weight if hasattr(table, "levels") else table.weight
    rows: Tensor = weight.to_local() if hasattr(weight, "to_local") else weight  # a rank's own, where they are spread
    if not rows.numel():
        return False
    some = rows.detach()[:: -(-len(rows) // MOST)].float()
    return bool(some.square().mean(1).sqrt().median() < DEAD * std)
