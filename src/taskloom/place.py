"""Place: which of several processes that train one model this one is, as torchrun, srun or we ourselves say."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

#: what says in the environment that a process is one of several; a process that starts others drops it first
_WORDS = re.compile(
    r"(LOCAL_|GROUP_|ROLE_|NODE_)?RANK|(LOCAL_|GROUP_|ROLE_)?WORLD_SIZE|ROLE_NAME|MASTER_(ADDR|PORT)|TORCHELASTIC_.*|TASKLOOM_RANKS_BY|PL_.*|WANDB_SERVICE"
)


@dataclass(frozen=True)
class Place:
    """One of several processes.

    Args:
        rank: of this process, from 0.
        world: how many there are.
        local_rank: its number on its machine.
        local_world: how many there are on its machine.
        address: of the machine where they meet.
        port: the same.
        hosted: whether somebody else, who started us, keeps the store where we meet; otherwise rank 0 does.
        by: what started us, for people.

    Example:
        >>> Place.of({"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2",
        ...           "MASTER_ADDR": "first", "MASTER_PORT": "29500"}).local_rank
        1
    """

    rank: int
    world: int
    local_rank: int
    local_world: int
    address: str
    port: int
    hosted: bool = False
    by: str = "torchrun"

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Self:
        """The place that torchrun's variables name.

        Raises:
            KeyError: one is missing.
        """
        return cls(
            int(environ["RANK"]),
            int(environ["WORLD_SIZE"]),
            int(environ.get("LOCAL_RANK", 0)),
            int(environ.get("LOCAL_WORLD_SIZE", 1)),
            environ["MASTER_ADDR"],
            int(environ["MASTER_PORT"]),
            environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True",
            environ.get("TASKLOOM_RANKS_BY", "torchrun"),
        )

    def environ(self) -> dict[str, str]:
        """The variables that say so, under torchrun's names, which other libraries know too."""
        return {
            "RANK": str(self.rank),
            "WORLD_SIZE": str(self.world),
            "LOCAL_RANK": str(self.local_rank),
            "LOCAL_WORLD_SIZE": str(self.local_world),
            "MASTER_ADDR": self.address,
            "MASTER_PORT": str(self.port),
            "TORCHELASTIC_USE_AGENT_STORE": str(self.hosted),
            "TASKLOOM_RANKS_BY": self.by,
        }

    @property
    def ours(self) -> bool:
        """Whether a command of ours started the ranks, after it had prepared the data."""
        return self.by == "us"

    @property
    def name(self) -> str:
        """For people."""
        return f"rank {self.rank} of {self.world}"


def external(environ: Mapping[str, str] = os.environ) -> Place | None:
    """Our place where somebody else started several processes of this command; None where we were started alone.

    torchrun, and whatever else sets its variables, or srun with several tasks. A batch script of SLURM that runs
    without srun is one process, whatever its allocation could hold.

    Args:
        environ: the environment variables.

    Example:
        >>> external({}) is None
        True
        >>> place = external({"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "3", "SLURM_LOCALID": "1",
        ...                   "SLURM_STEP_TASKS_PER_NODE": "2(x2)", "SLURM_JOB_ID": "77", "SLURM_NODEID": "1",
        ...                   "SLURM_STEP_NODELIST": "gpu[07-08]"})
        >>> place.name, place.local_rank, place.local_world, place.address
        ('rank 3 of 4', 1, 2, 'gpu07')
    """
    several = int(environ.get("WORLD_SIZE") or 1) > 1 and {"RANK", "MASTER_ADDR", "MASTER_PORT"} <= set(environ)
    if several or "TORCHELASTIC_RUN_ID" in environ:
        return Place.of(environ)
    # What SLURM_NTASKS says holds for an allocation, in which many a command runs alone.
    tasks = int(environ.get("SLURM_STEP_NUM_TASKS") or 1)
    if tasks == 1 or environ.get("SLURM_JOB_NAME") in ("bash", "interactive"):
        return None
    job, step = int(environ.get("SLURM_JOB_ID") or 0), int(environ.get("SLURM_STEP_ID") or 0)
    return Place(
        int(environ["SLURM_PROCID"]),
        tasks,
        int(environ["SLURM_LOCALID"]),
        _tasks_on_node(environ.get("SLURM_STEP_TASKS_PER_NODE") or str(tasks), int(environ.get("SLURM_NODEID") or 0)),
        environ.get("MASTER_ADDR") or first_host(environ["SLURM_STEP_NODELIST"]),
        # Each step of each job gets a port of its own that all its tasks can work out.
        int(environ.get("MASTER_PORT") or 20_000 + (job * 101 + step) % 10_000),
        by="srun",
    )


def alone(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without the words that make a process one of several.

    Example:
        >>> alone({"RANK": "1", "MASTER_PORT": "1", "PL_GLOBAL_SEED": "1", "PATH": "/bin"})
        {'PATH': '/bin'}
    """
    return {key: value for key, value in environ.items() if not _WORDS.fullmatch(key)}


def first_host(nodes: str) -> str:
    """The first of SLURM's list of hosts.

    Example:
        >>> [first_host(nodes) for nodes in ("localhost", "a,b", "gpu[07-08,11]", "r[1,3]n[02-04]-ib")]
        ['localhost', 'a', 'gpu07', 'r1n02-ib']
    """
    first = re.split(r",(?![^\[]*\])", nodes)[0]
    return re.sub(r"\[(\w+)[^\]]*\]", r"\1", first)


def _tasks_on_node(counts: str, node: int) -> int:
    """How many tasks SLURM's ``2(x3),1`` gives to a node."""
    each: list[int] = []
    for part in counts.split(","):
        found = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part)
        each += [int(found[1])] * int(found[2] or 1) if found else []
    return each[node] if node < len(each) else 1
