"""What each worker gets of the machine: its GPUs, and its threads of the CPU."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from taskloom.errors import ConfigError

CUDA = "CUDA_VISIBLE_DEVICES"
#: of every library that would otherwise start a thread a core
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "POLARS_MAX_THREADS")


def worker_gpus(gpus: Any, environ: Mapping[str, str] = os.environ) -> list[str]:
    """What each worker is to see of the GPUs, as values of ``CUDA_VISIBLE_DEVICES``.

    Args:
        gpus: ``auto``: each GPU that this process sees; None: leave GPUs alone; or a list with an entry a worker, each
            a GPU or several with commas between them. A GPU may be named more than once: its workers share it.
        environ: the environment variables.

    Raises:
        ConfigError: none of these.

    Example:
        >>> worker_gpus([0, "1,2"])
        ['0', '1,2']
    """
    if gpus is None:
        return []
    if gpus == "auto":
        return _visible(environ)
    if isinstance(gpus, str | bytes) or not isinstance(gpus, Sequence) or not gpus or not all(map(_is_gpu, gpus)):
        raise ConfigError(
            f"hydra.launcher.gpus is {gpus!r}: write auto, null, or a list with an entry a worker, such as [0,1], "
            "or ['\"0,1\"','\"2,3\"'] for two GPUs each"
        )
    return [str(gpu).replace(" ", "") for gpu in gpus]


def number_of_workers(n_jobs: Any, gpus: Sequence[str], cpus: int, jobs: int | None = None) -> int:
    """How many jobs run at once: as asked, else one a GPU, else one for every two cores; never more than there are.

    Args:
        n_jobs: what the config says; None leaves it to this function.
        gpus: of `worker_gpus`.
        cpus: cores that this process may use.
        jobs: how many there are; None where nobody knows.

    Raises:
        ConfigError: not a number of workers.

    Example:
        >>> number_of_workers(None, [], cpus=8), number_of_workers(None, ["0", "1", "2"], cpus=8)
        (4, 3)
        >>> number_of_workers(6, ["0", "1"], cpus=8, jobs=5)
        5
    """
    if n_jobs is not None and (not isinstance(n_jobs, int) or isinstance(n_jobs, bool) or n_jobs < 1):
        raise ConfigError(
            f"hydra.launcher.n_jobs is {n_jobs!r}: write how many jobs run at once, from 1; "
            "null takes one a GPU, or one for every two cores"
        )
    wanted = n_jobs or len(gpus) or max(1, cpus // 2)
    return wanted if jobs is None else max(1, min(wanted, jobs))


def environments(
    workers: int, gpus: Sequence[str], threads: Any, cpus: int, environ: Mapping[str, str] = os.environ
) -> list[dict[str, str]]:
    """The environment variables of each worker, which are there before it imports anything.

    Args:
        workers: how many.
        gpus: of `worker_gpus`; where there are fewer than workers, they go round.
        threads: of the CPU: ``auto`` divides the cores, unless ``OMP_NUM_THREADS`` is set already; a number is each
            worker's; None leaves threads alone.
        cpus: cores that this process may use.
        environ: the environment variables of this process.

    Raises:
        ConfigError: not a number of threads.

    Example:
        >>> environments(2, ["0"], 4, cpus=8)[1]["CUDA_VISIBLE_DEVICES"]
        '0'
    """
    if threads == "auto":
        threads = None if environ.get("OMP_NUM_THREADS") else max(1, cpus // workers)
    elif threads is not None and (not isinstance(threads, int) or isinstance(threads, bool) or threads < 1):
        raise ConfigError(
            f"hydra.launcher.threads is {threads!r}: write auto, null, or how many threads each job has, from 1"
        )
    shared = {} if threads is None else dict.fromkeys(THREADS, str(threads))
    return [shared | ({CUDA: gpus[place % len(gpus)]} if gpus else {}) for place in range(workers)]


def _is_gpu(entry: Any) -> bool:
    """A number, a name such as GPU-8a3f..., or several of them."""
    if isinstance(entry, bool):
        return False
    return (isinstance(entry, int) and entry >= 0) or (
        isinstance(entry, str) and bool(entry) and all(part.strip() for part in entry.split(","))
    )


def _visible(environ: Mapping[str, str]) -> list[str]:
    """The names by which this process sees its GPUs; asking starts nothing on them."""
    import torch

    count = torch.cuda.device_count()
    named = environ.get(CUDA)
    names = list(map(str, range(count))) if named is None else [name.strip() for name in named.split(",")]
    return names[:count]
