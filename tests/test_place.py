"""Which of several processes this one is, by the words of torchrun, srun and our own."""

import pytest

from taskloom.place import Place, alone, external, first_host

TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "none",
    "TORCHELASTIC_USE_AGENT_STORE": "True",
    "RANK": "1",
    "WORLD_SIZE": "2",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "localhost",
    "MASTER_PORT": "29500",
}
SRUN = {
    "SLURM_JOB_ID": "4711",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NUM_TASKS": "5",
    "SLURM_PROCID": "4",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "2",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2),1",
    "SLURM_STEP_NODELIST": "gpu[07-08,11]",
}


def test_torchrun() -> None:
    place = external(TORCHRUN)
    assert place == Place(1, 2, 1, 2, "localhost", 29500, hosted=True)
    assert Place.of(place.environ()) == place


def test_one_process_of_torchrun_is_one_of_several() -> None:
    assert external(TORCHRUN | {"RANK": "0", "WORLD_SIZE": "1"}) is not None


def test_torchruns_variables_without_torchrun() -> None:
    words = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "first", "MASTER_PORT": "1234"}
    assert external(words) == Place(1, 2, 0, 1, "first", 1234)
    assert external(words | {"WORLD_SIZE": "1"}) is None  # what a machine's shell may hold


def test_srun() -> None:
    place = external(SRUN)
    assert place is not None
    assert (place.rank, place.world, place.local_rank, place.local_world) == (4, 5, 0, 1)
    assert (place.address, place.by, place.hosted) == ("gpu07", "srun", False)
    assert place.port == external(SRUN | {"SLURM_PROCID": "0", "SLURM_NODEID": "0"}).port  # type: ignore[union-attr]
    assert place.port != external(SRUN | {"SLURM_STEP_ID": "1"}).port  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "environ",
    [
        {},
        # a batch script that runs without srun, in an allocation for eight
        {"SLURM_NTASKS": "8", "SLURM_PROCID": "0", "SLURM_JOB_ID": "1", "SLURM_LOCALID": "0"},
        SRUN | {"SLURM_STEP_NUM_TASKS": "1"},  # as submitit starts a job
        SRUN | {"SLURM_JOB_NAME": "bash"},
    ],
)
def test_alone(environ: dict[str, str]) -> None:
    assert external(environ) is None


def test_what_is_left_of_an_environment() -> None:
    words = {**TORCHRUN, "GROUP_RANK": "0", "NODE_RANK": "0", "PL_GLOBAL_SEED": "1", "TASKLOOM_RANKS_BY": "us"}
    assert alone({**words, "PATH": "/bin", "CUDA_VISIBLE_DEVICES": "2,3"}) == {
        "PATH": "/bin",
        "CUDA_VISIBLE_DEVICES": "2,3",
    }


def test_first_host() -> None:
    assert first_host("gpu[07-08],cpu1") == "gpu07"
