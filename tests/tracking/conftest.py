"""W&B in tests: the stand-in server, and neither the key nor the settings of whoever runs them."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from standins.wandb_server import StandIn


@pytest.fixture
def wandb_server() -> Iterator[StandIn]:
    """A server that knows what this project asks of it; the test fails where something else was asked."""
    server = StandIn()
    yield server
    if not server.dead:
        server.die()
    assert server.unknown == []


@pytest.fixture(autouse=True)
def _no_wandb_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("NETRC", str(home / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(home))


@pytest.fixture
def _fresh_wandb() -> Iterator[None]:
    """W&B keeps the first settings that it sees; a test of its own server needs a new start."""
    import wandb
    from wandb.sdk.lib import wbauth

    from taskloom.tracking.wandb_run import finish

    wandb.teardown()
    wbauth.unauthenticate_session(update_settings=False)
    yield
    finish(0)
    wandb.teardown()
    wbauth.unauthenticate_session(update_settings=False)


@pytest.fixture
def run_wandb() -> Callable[..., subprocess.CompletedProcess[str]]:
    """W&B's own command, against a server or none."""

    def run(*words: str, server: StandIn | None = None) -> subprocess.CompletedProcess[str]:
        tool = str(Path(sys.executable).parent / "wandb")
        environment = {**os.environ, **(server.environment() if server else {})}
        return subprocess.run([tool, *words], env=environment, capture_output=True, text=True, timeout=120)

    return run
