"""Losses and gradients in, weights out."""

from taskloom.balancers.balancer import Balancer, Gradients

__all__ = ["Balancer", "Gradients"]
