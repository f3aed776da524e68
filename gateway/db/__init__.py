"""PostgreSQL, the only store. This package has the models, the sessions, the migrations and the job queue."""
