"""What configs can ask the programme: ``${project_root:}``, ``${start_time:}``, ``${choice:model}``, ..."""

import hashlib
import re
from datetime import datetime
from pathlib import Path

_LONGEST = 96  # leaves room for checkpoints' names where a path may have 260 characters


def register(conf: Path) -> None:
    """Makes the resolvers known to OmegaConf; the time is that of this call.

    Args:
        conf: the folder of the configs; the project's root is the folder above it.
    """
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    root = str(conf.resolve().parent)
    now = datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")[:-3]
    OmegaConf.register_new_resolver("project_root", lambda: root, replace=True)
    OmegaConf.register_new_resolver("start_time", lambda: now, replace=True)
    OmegaConf.register_new_resolver("choice", lambda group: HydraConfig.get().runtime.choices[group], replace=True)
    OmegaConf.register_new_resolver("job_folder", job_folder, replace=True)


def job_folder(number: int, overrides: str) -> str:
    """The name of a job's folder: its number, then what sets it apart, safe on any file system.

    Args:
        number: the job's place in the sweep, from 0.
        overrides: ``key=value`` pairs with commas between them.

    Example:
        >>> job_folder(3, "model=soft_sharing,seed=1,data.source=/a b/c.zip")
        '3_model-soft_sharing_seed-1_data.source--a-b-c.zip'
    """
    safe = re.sub(r"[^\w.,-]", "-", overrides).replace(",", "_")
    if len(safe) > _LONGEST:
        safe = f"{safe[:_LONGEST]}-{hashlib.sha256(overrides.encode()).hexdigest()[:8]}"
    return f"{number}_{safe}".rstrip("_.")
