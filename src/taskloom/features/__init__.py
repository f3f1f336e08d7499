"""Batch to Embedded: embedding tables and their views."""

from taskloom.features.embedded import Embedded, InputSpec, View
from taskloom.features.features import Features

__all__ = ["Embedded", "Features", "InputSpec", "View"]
