"""Stages from an embedded batch to a representation."""

from taskloom.backbones.backbone import Backbone, BackboneFactory

__all__ = ["Backbone", "BackboneFactory"]
