"""quiet(): Lightning's notices that tell a user of this platform nothing."""

import logging
import warnings

# Regular expressions at the start of a message. Each is about something decided on purpose here.
_EXPECTED = (
    r".*does not have many workers",  # batches come from mapped columns: a worker would only copy them
    r".*LeafSpec",  # torch's own use of its own deprecated name
    r"The number of training batches .* is smaller than the logging interval",
    r"Checkpoint directory .* exists and is not empty",  # a resumed run's, of course
    r".*litlogger",
    r"It is recommended to use .*sync_dist=True",  # what is logged is the same on all ranks
    r"`broadcast_buffers` is deprecated",  # its successor is not in the oldest torch that will do
)


def quiet() -> None:
    """Leave out "GPU available", tips, advertisements and warnings about choices that are meant; errors stay.

    Example:
        >>> quiet()
        >>> logging.getLogger("lightning.pytorch.utilities.rank_zero").isEnabledFor(logging.INFO)
        False
    """
    import lightning.pytorch  # noqa: F401 - importing it later would set the levels back

    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in _EXPECTED:
        warnings.filterwarnings("ignore", message=message)
