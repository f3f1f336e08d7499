"""Stages from an embedded batch to a representation."""

from taskloom.backbones.backbone import Backbone, BackboneFactory, Encoder

__all__ = ["Backbone", "BackboneFactory", "Encoder"]
