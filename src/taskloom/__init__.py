"""Taskloom: an experiment platform for multi-task learning in personalised services."""

__version__ = "0.1.0"
