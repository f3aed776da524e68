"""gunicorn, as ``gateway serve`` runs it. ``gunicorn_hooks`` has its settings and names the other parts."""
