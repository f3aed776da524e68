"""The cost of an event does not grow with the stored rows. None of its statements scans a big table."""

import json

import psycopg

from gateway.services.webhooks.drain import drain_inbox
from handlers import HANDLERS
from tests.support.recorded_events import CUSTOMER, payload
from tests.support.statements import Statements
from tests.support.stripe_events import deliver
from tests.support.world import World

EVENTS = ("customer.updated", "customer.subscription.updated", "invoice.paid", "payment_method.detached")
FILL = """
    INSERT INTO organizations (id, stripe_customer_id, created_at)
        SELECT 'org_' || n, CASE n WHEN 1 THEN %s ELSE 'cus_' || n END, now() FROM generate_series(1, 20000) AS n;
    INSERT INTO payment_methods (id, organization_id)
        SELECT 'pm_' || n, 'org_' || n FROM generate_series(1, 20000) AS n;
    INSERT INTO webhook_events (id, type, object_id, created, livemode, state, next_attempt_at, received_at)
        SELECT 'evt_' || n, 'invoice.paid', 'in_' || n, now(), false, 'done', now(), now()
        FROM generate_series(1, 20000) AS n;
    INSERT INTO subscriptions (id, organization_id, status, currency, items, created, rank, trail)
        SELECT 'sub_' || n, 'org_' || n, 'active', 'usd', '[]', now(), 0, '{}' FROM generate_series(2, 20000) AS n;
    INSERT INTO organization_plans (organization_id, plan, requested_plan, status, standing, quantity, as_of, version)
        SELECT 'org_' || n, 'plus', 'plus', 'active', 'good', 1, now(), 1 FROM generate_series(2, 20000) AS n;
    INSERT INTO plan_changes (id, organization_id, state, actor, from_plan, to_plan, quantity, created_at, ended_at)
        SELECT 'chg_' || n, 'org_' || n, 'applied', 'ada', 'free', 'plus', 1, now(), now()
        FROM generate_series(2, 20000) AS n;
    ANALYZE organizations, payment_methods, webhook_events, subscriptions, organization_plans, plan_changes"""


def test_neither_ingress_nor_drain_scans_a_big_table(world: World) -> None:
    with psycopg.connect(world.gateway.config.database_url, autocommit=True) as connection:
        psycopg.ClientCursor(connection).execute(FILL, (CUSTOMER,))
        statements = Statements(world.gateway)
        for name in EVENTS:
            for _ in range(2):  # the second delivery is a duplicate
                assert deliver(world, json.dumps(payload(name))).status_code == 200
            drain_inbox(world.gateway, HANDLERS)
        assert world.plan_row("org_1").plan
        assert list(statements.scans(connection)) == []
