"""Floor 4: the order of the stages, from an L1C tree to a lazy L2A tree."""

from s2cloud.processor.process import process

__all__ = ["process"]
