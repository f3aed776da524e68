"""Say what a committed transaction survives, by the settings of the database.

https://www.postgresql.org/docs/current/runtime-config-wal.html#GUC-SYNCHRONOUS-COMMIT
"""

from sqlalchemy import text

from gateway.db.session import Database
from gateway.services.operations.findings import Finding

SETTINGS = text("""
    SELECT current_setting('synchronous_commit'), current_setting('synchronous_standby_names'),
        (SELECT count(*) FROM pg_stat_replication)
""")


def check_durability(database: Database) -> Finding:
    """Check that a committed transaction survives a crash of the database, and name what a failover loses."""
    with database.reading() as session:
        level, synchronous, standbys = session.execute(SETTINGS).one()
    return Finding(ok=level != "off", text=f"commits: {explain(level, synchronous, standbys)}")


def explain(level: str, synchronous: str, standbys: int) -> str:
    """Return the guarantee that the settings give. ``synchronous`` names the synchronous standbys."""
    if level == "off":
        return "synchronous_commit is off, so a crash of the database loses acknowledged events. Set it to on."
    if level == "local" or not synchronous:
        count = f"Standbys that follow asynchronously: {standbys}. " if standbys else ""
        return f"flushed on one server. {count}A failover loses the last moments, so run `gateway reconcile` after it."
    if level == "remote_write":
        return "flushed on one server and received by a standby. They are lost if both machines crash."
    return "flushed on a standby too, so a failover to it loses nothing"
