"""Where W&B writes, found out without asking anybody anything: online, offline, or not at all."""

import os
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, Literal

from taskloom.errors import ConfigError

Mode = Literal["online", "offline", "disabled"]

PROBE_SECONDS = 3.0
_MODES: dict[str, Mode] = {
    "online": "online",
    "run": "online",  # W&B's older names for the same
    "shared": "online",
    "offline": "offline",
    "dryrun": "offline",
    "disabled": "disabled",
}


def has_stored_key() -> bool:
    """Whether W&B finds credentials by itself (environment, netrc, settings), without asking for any."""
    try:
        from wandb.sdk.lib import wbauth  # private: the public way to ask, wandb.login, asks the server too

        host = silent_setup().settings.base_url
        found = wbauth.authenticate_session(host=host, source="", prompt=False, update_session=False)
    except Exception:
        return False
    return found is not None


def decide_mode(
    environ: Mapping[str, str],
    probe: Callable[[], bool],
    stored_key: Callable[[], bool] = has_stored_key,
) -> Mode:
    """Where W&B writes: decided before it starts, because a failing start takes minutes or asks a question.

    ``WANDB_MODE`` if it is set; else offline without a key; else online if the server answers.

    Args:
        environ: the environment variables.
        probe: whether the server answers; asked only where there is a key.
        stored_key: whether there is a key outside the environment (netrc, W&B's settings).

    Raises:
        ConfigError: ``WANDB_MODE`` is none of W&B's modes.

    Example:
        >>> decide_mode({"WANDB_MODE": "disabled"}, probe=lambda: True)
        'disabled'
        >>> decide_mode({}, probe=lambda: True, stored_key=lambda: False)
        'offline'
        >>> decide_mode({"WANDB_API_KEY": "..."}, probe=lambda: True)
        'online'
    """
    if asked := environ.get("WANDB_MODE", "").strip().lower():
        if asked not in _MODES:
            raise ConfigError(f"WANDB_MODE={asked}: W&B has no such mode; use online, offline or disabled")
        return _MODES[asked]
    if not (environ.get("WANDB_API_KEY") or environ.get("WANDB_IDENTITY_TOKEN_FILE") or stored_key()):
        return "offline"
    return "online" if probe() else "offline"


def server_answers(url: str, seconds: float = PROBE_SECONDS) -> bool:
    """Whether an HTTP server answers at this address within so many seconds, looking up its name included.

    Any answer counts but a gateway's word that the server behind it is away.

    Args:
        url: the server's address.
        seconds: how long to wait.
    """
    answered = threading.Event()

    def ask() -> None:
        # Nothing secret is sent and nothing is read, so a certificate that Python cannot check (a company's
        # proxy, a Python without certificates) says no more than that somebody is there.
        context = ssl._create_unverified_context()
        try:
            urllib.request.urlopen(url, timeout=seconds, context=context).close()
        except urllib.error.HTTPError as error:
            if error.code in (502, 503, 504):
                return
        except Exception:
            return
        answered.set()

    # A thread, because a socket's timeout bounds neither the look-up of a name nor an answer that drips.
    thread = threading.Thread(target=ask, daemon=True, name="wandb-probe")
    thread.start()
    thread.join(seconds)
    return answered.is_set()


def base_url() -> str:
    """The address of W&B's server, by W&B's own settings."""
    try:
        return str(silent_setup().settings.base_url)
    except Exception:
        return os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")


def no_long_tries() -> None:
    """From now on W&B's questions to its server fail after a few tries and not after many minutes; for commands."""
    try:
        settings = silent_setup().settings
        settings.x_graphql_retry_max, settings.x_graphql_timeout_seconds = 2, 2 * PROBE_SECONDS
    except Exception:  # private settings: without them it takes longer, and that is all
        return


def silent_setup() -> Any:
    """W&B's process-wide part, which speaks before a run's own settings hold and keeps those it first got."""
    import wandb

    if not os.environ.get("WANDB_MODE", "set").strip():
        del os.environ["WANDB_MODE"]  # an empty one is none for us, and a mistake for W&B
    return wandb.setup(wandb.Settings(silent=True))
