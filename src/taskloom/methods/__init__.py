"""What a training step is."""

from taskloom.methods.method import Method, Phase, StepResult

__all__ = ["Method", "Phase", "StepResult"]
