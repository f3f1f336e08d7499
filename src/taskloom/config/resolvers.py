"""What configs can ask the programme: ``${project_root:}``, ``${start_time:}``, ``${choice:model}``, ..."""

from datetime import datetime
from pathlib import Path


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
