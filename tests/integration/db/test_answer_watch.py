"""A connection that gets no answer is given up, and one that gets its answers is not."""

import threading

from gateway.db.answer_watch import LIMIT
from gateway.db.writer import Writer
from gateway.errors import DatabaseUnavailable
from tests.support.wait import eventually
from tests.support.world import World

SLEEPING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"


def test_a_connection_without_an_answer_is_an_outage(world: World) -> None:
    database = world.gateway.database
    raised: list[Exception] = []

    def wait() -> None:
        try:
            database.read("SELECT pg_sleep(5)", {})
        except DatabaseUnavailable as error:
            raised.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    with database.connect() as connection:
        eventually(lambda: connection.execute(SLEEPING).fetchone() == (1,))
    for _ in range(LIMIT):
        database.answers.count_second()
    thread.join(3)
    assert len(raised) == 1
    assert database.read("SELECT 1", {}) == [(1,)]


def test_connections_that_get_their_answers_stay(world: World) -> None:
    database = world.gateway.database
    writer = Writer(database)
    used: set[int] = set()  # processes of PostgreSQL, one for each connection
    for _ in range(LIMIT + 1):
        writer.execute(b"DELETE FROM organizations WHERE false", [], [])
        [(process,)] = database.read("SELECT pg_backend_pid()", {})
        used.add(process)
        database.answers.count_second()
    writer.close()
    alive = database.read("SELECT pid FROM pg_stat_activity WHERE pid = ANY(%(used)s)", {"used": list(used)})
    assert {process for (process,) in alive} == used
