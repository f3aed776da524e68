"""``gateway demo``: everything on one machine, and the story of one organization."""

from gateway.demo.run import run

__all__ = ["run"]
