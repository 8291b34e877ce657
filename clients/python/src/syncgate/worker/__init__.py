"""Serving functions: `python -m syncgate.worker MODULE[:ATTR]`, or `Worker(gate).run()`. docs/workers.md is the manual."""

from __future__ import annotations

from .command import main
from .service import Worker, run

__all__ = ["Worker", "main", "run"]
