"""The errors that are meant for a person: one sentence, no traceback."""


class TaskloomError(Exception):
    """Something a person can put right; the message says what was wrong, where, and what to do.

    Commands print the message alone and end with an exit code that is not 0. Any other exception is a
    defect of the programme and keeps its traceback.
    """


class ConfigError(TaskloomError):
    """A setting is unknown, of the wrong type or out of range."""


class DataError(TaskloomError):
    """A data file is missing, damaged, or not what its name says."""


class RunError(TaskloomError):
    """A run folder is missing, incomplete or in the wrong state for what was asked."""
