"""``gateway demo`` runs everything on one machine and plays the story of one organization."""

from gateway.demo.run import run

__all__ = ["run"]
