"""PostgreSQL, the only store: models, sessions, migrations, and the job queue that lives in it."""
