"""Runs seeds of the simulation on a temporary database: ``python -m tests.simulation --seed 1 --years 5``."""

import argparse
import logging
import os
import resource
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import structlog

from gateway.db.migrate import migrate
from gateway.db.session import Database
from gateway.demo.postgres import embedded_postgres
from gateway.gc_tuning import reduce_gc
from gateway.logging import configure_logging
from tests.simulation.invariants import digest
from tests.simulation.simulation import Simulation

SWITCHED_OFF = (
    *("fsync", "full_page_writes", "synchronous_commit"),
    *("autovacuum", "track_counts", "track_activities", "update_process_title"),
)


def main() -> None:
    """Run the seeds. Exit with status 1 at the first that violates an invariant."""
    parser = argparse.ArgumentParser(description="Let organizations live for years.")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds to run")
    parser.add_argument("--years", type=float, default=1, help="the years of each seed")
    parser.add_argument("--organizations", type=int, default=20)
    options = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of a set of strings would differ from run to run
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, "PYTHONHASHSEED": "0"})  # noqa: S606 - this command
    configure_logging(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with temporary_database() as url:
        for seed in range(options.seed, options.seed + options.seeds):
            run(url, seed, options.years, options.organizations)


@contextmanager
def temporary_database() -> Iterator[str]:
    """Start PostgreSQL and yield the URL of a migrated database."""
    with (
        TemporaryDirectory(prefix="gateway-simulation-") as directory,
        embedded_postgres(Path(directory) / "pg") as url,
    ):
        with psycopg.connect(url, autocommit=True) as connection:  # no run crashes it, so it need not wait for the disk
            for setting in SWITCHED_OFF:
                connection.execute(f"ALTER SYSTEM SET {setting} = off")
            connection.execute("SELECT pg_reload_conf()")
        database = Database(url)
        migrate(database)
        database.close()
        reduce_gc()
        yield url


def run(url: str, seed: int, years: float, organizations: int) -> None:
    """Run one seed, and print what happened in one line."""
    began = time_used()
    simulation = Simulation(url, seed, organizations)
    try:
        simulation.run(years)
    except (Exception, KeyboardInterrupt):  # noqa: BLE001 - whatever it is, the seed repeats it
        traceback.print_exc()
        print(f"Repeat it with: make simulate SEED={seed} YEARS={years:g} ORGANIZATIONS={organizations}")  # noqa: T201 - the report
        sys.exit(1)
    finally:
        simulation.close()
    print(f"seed {seed}: {simulation.summary()}, {time_used() - began:.0f} s of CPU, digest {digest(simulation)[:16]}")  # noqa: T201 - the report


def time_used() -> float:
    """Return the seconds of CPU of this process, which leaves out PostgreSQL's."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
