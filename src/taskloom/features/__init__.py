"""Batch to Embedded: embedding tables and their views."""

from taskloom.features.embedded import Embedded, InputSpec, View
from taskloom.features.features import Features
from taskloom.features.widths import count_ids

__all__ = ["Embedded", "Features", "InputSpec", "View", "count_ids"]
