"""The database's host vanishes without a RST, and another one takes over. The worker follows by itself."""

import pytest
from psycopg.conninfo import conninfo_to_dict

from gateway.services.webhooks.wakeup import defer_drain
from tests.faults.merged import assert_merged_once, one_event_each, pending, store
from tests.support.deployment import Deployment
from tests.support.hosts import FAR, PORT, can_cut_links, cut, forwarded, linked
from tests.support.processes import await_port, free_port
from tests.support.wait import eventually

pytestmark = [
    pytest.mark.long,  # it waits for TCP's timeouts
    pytest.mark.skipif(not can_cut_links(), reason="only root may create network namespaces, with Debian's iproute2"),
]


def test_worker_follows_when_its_databases_host_vanishes(own: Deployment) -> None:
    url, other = own.environment["GATEWAY_DATABASE_URL"], free_port()
    name = conninfo_to_dict(url)["dbname"]
    both = f"postgresql://postgres@/{name}?host={FAR},127.0.0.1&port={PORT},{other}&target_session_attrs=read-write"
    deliveries = one_event_each(own, 20)
    with linked(url) as link, forwarded(url, "127.0.0.1", other):
        await_port(other)
        own.environment["GATEWAY_DATABASE_URL"] = both
        worker = own.work()
        own.environment["GATEWAY_DATABASE_URL"] = url  # the test itself needs no network
        store(own, deliveries[:10])
        defer_drain(own.gateway.database)
        eventually(own.all_done)  # a drain that still runs would need no connection of the queue
        cut(link)
        store(own, deliveries[10:])
        defer_drain(own.gateway.database)
        eventually(lambda: pending(own) == 0, 60)
        assert worker.alive
        assert_merged_once(own, deliveries)
        worker.kill()  # before its connections end
