"""``gateway demo`` runs everything on one machine and plays a story."""

from gateway.demo.run import run

__all__ = ["run"]
