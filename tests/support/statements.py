"""Records the statements that the gateway executes and checks their query plans."""

from collections.abc import Collection, Iterator
from typing import Any, Self

import psycopg
from sqlalchemy import event

from gateway.services.runtime import Gateway

BIG = "SELECT relname FROM pg_class WHERE relkind = 'r' AND reltuples >= 10000"


class Statements:
    """Records each statement so that PostgreSQL can explain it later."""

    def __init__(self, gateway: Gateway) -> None:
        self._seen: dict[str, Any] = {}
        seen = self._seen

        class Recorder(psycopg.Cursor[Any]):
            def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
                if query.lstrip().upper().startswith(("SELECT", "UPDATE", "DELETE", "INSERT")):
                    seen[query] = params
                return super().execute(query, params, **options)

        @event.listens_for(gateway.database.engine, "checkout")
        def record(connection: psycopg.Connection[Any], *_: object) -> None:
            connection.cursor_factory = Recorder

    def scans(self, connection: psycopg.Connection) -> Iterator[str]:
        """Yield the statements that scan a big table."""
        big = {name for (name,) in connection.execute(BIG)}
        for statement, parameters in self._seen.items():
            row = connection.execute(f"EXPLAIN (FORMAT JSON) {statement}", parameters).fetchone()
            assert row is not None
            if table := scanned_table(row[0][0]["Plan"], big):
                yield f"{table}: {' '.join(statement.split())[-300:]}"


def scanned_table(plan: dict[str, Any], big: Collection[str], *, limited: bool = False) -> str | None:
    """Return the big table that a plan scans completely, if any. An ordered scan below a limit stops early."""
    limited = limited or plan["Node Type"] == "Limit"
    if plan.get("Relation Name") in big:
        ordered = "Index Name" in plan
        if plan["Node Type"] == "Seq Scan" or (ordered and "Index Cond" not in plan and not limited):
            return str(plan["Relation Name"])
    below = (scanned_table(each, big, limited=limited) for each in plan.get("Plans", ()))
    return next(filter(None, below), None)
