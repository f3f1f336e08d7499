"""System metrics of each rank in the one W&B run of a job: by option, and online only.

W&B calls this its shared mode: the first rank's process keeps the run, the others write their system metrics to it
under a label of their own and have no say in how it ends. ``logger.wandb.system_metrics=each_rank`` asks for it.
"""

import sys
from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.distributed as dist

SystemMetrics = Literal["first_rank", "each_rank"]


def several_ranks() -> bool:
    """Whether this process is one of several ranks that train one job."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def rank_settings(rank: int) -> dict[str, Any]:
    """W&B's settings of a rank that shares a run.

    Example:
        >>> rank_settings(1)
        {'x_label': 'rank 1', 'x_primary': False, 'x_update_finish_state': False}
    """
    return {"x_label": f"rank {rank}", "x_primary": rank == 0, "x_update_finish_state": rank == 0}


def join_first_rank(config: Mapping[str, Any]) -> None:
    """On the ranks beside the first: writes this process's system metrics to the first one's W&B run.

    All ranks call it, after the first one has made its loggers and before training; on one rank, and where nobody
    asked for it, it does nothing. `wandb_run.finish` ends what it starts.

    Args:
        config: the resolved config.
    """
    section = (config.get("logger") or {}).get("wandb") or {}
    if section.get("system_metrics") != "each_rank" or not several_ranks():
        return
    told: list[Any] = [_own_run() if dist.get_rank() == 0 else None]
    dist.broadcast_object_list(told, src=0, device=torch.device("cpu"))
    if dist.get_rank() > 0 and told[0] is not None:
        from taskloom.tracking.wandb_run import start_beside

        start_beside(told[0], rank_settings(dist.get_rank()))


def _own_run() -> dict[str, str] | None:
    """What the others need of this process's run; None where it has none that can be shared."""
    run = getattr(sys.modules.get("wandb"), "run", None)
    if run is None or run.settings.mode != "shared":
        return None
    return {"id": run.id, "project": run.project, "entity": run.entity, "dir": run.settings.root_dir}
