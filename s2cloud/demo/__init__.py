"""The whole way on one machine: simulate, process from bucket to bucket, compare with the truth."""

from __future__ import annotations

from s2cloud.demo.run import DemoResult, run_demo

__all__ = ["DemoResult", "run_demo"]
