"""Fuzzes the targets in turn on a temporary database: ``python -m tests.fuzz [TARGET …] [libFuzzer's options]``."""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway.db.migrate import migrate
from gateway.db.session import Database
from gateway.demo.postgres import embedded_postgres
from tests.fuzz.targets import TARGETS


def main() -> None:
    """Run one target after the other. Exit with status 0 if no target found anything."""
    options = [each for each in sys.argv[1:] if each.startswith("-")] or ["-max_total_time=60"]
    targets = [each for each in sys.argv[1:] if not each.startswith("-")] or list(TARGETS)
    with TemporaryDirectory(prefix="gateway-fuzz-") as directory, embedded_postgres(Path(directory) / "pg") as url:
        database = Database(url)
        migrate(database)
        database.close()
        environment = {**os.environ, "GATEWAY_DATABASE_URL": url}
        runs = [
            [sys.executable, "-m", "tests.fuzz.run", target, f"{directory}/{target}", *options] for target in targets
        ]
        found = [subprocess.run(run, env=environment, check=False).returncode for run in runs]
    sys.exit(any(found))


if __name__ == "__main__":
    main()
