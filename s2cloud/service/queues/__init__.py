"""Queues that events are taken from, one module per broker; each client is an extra."""

from __future__ import annotations

from s2cloud.service.queues.consume import consume

__all__ = ["consume"]
