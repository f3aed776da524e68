"""``gateway demo``: everything on one machine, and the story of one organization."""
