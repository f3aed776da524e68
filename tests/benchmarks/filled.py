"""Fills a database by SQL as months of operation would, with realistic proportions."""

import psycopg

from tests.support import bulk_events

KEPT_PAYLOADS, PRUNABLE = 200_000, 2_000
PAYLOADS = 64
"""The number of different payloads. Their cost depends on their size and not on their number."""

# The fill need not be durable, because a crash ends the benchmark.
QUICKLY = "SET synchronous_commit = off; SET maintenance_work_mem = '512MB'"
INDEXES = """
    SELECT indexname, indexdef FROM pg_indexes
    WHERE tablename = 'webhook_events' AND indexname <> 'pk_webhook_events'"""
SAMPLES = "CREATE TEMP TABLE samples (number int PRIMARY KEY, payload bytea)"

# From old to new: events that retention will delete, events already pruned, events it will prune, and the last 30 days.
EVENTS = """
    INSERT INTO webhook_events (id, type, object_id, created, api_version, livemode, payload, state, attempts,
        next_attempt_at, received_at, processed_at)
    SELECT 'evt_1' || substr(md5(event.number::text), 1, 23),
        (ARRAY['customer.subscription.updated', 'invoice.created', 'invoice.finalized', 'invoice.paid',
            'invoice.updated', 'customer.updated', 'payment_method.attached', 'charge.succeeded'])[1 + number %% 8],
        'sub_' || (number * 7919 %% %(organizations)s), at, '2026-10-28.endive', false,
        CASE WHEN age <> 'emptied' AND age <> 'old' THEN (SELECT payload FROM samples WHERE samples.number =
            event.number %% %(payloads)s) END,
        CASE WHEN number %% 50000 = 49999 AND age = 'kept' THEN 'dead' WHEN number %% 8 = 7 THEN 'ignored'
            ELSE 'done' END,
        0, at, at, at
    FROM (
        SELECT number, age, now() - CASE age WHEN 'old' THEN interval '181 days' WHEN 'prunable' THEN interval '31 days'
            WHEN 'kept' THEN interval '29 days' * (%(rows)s - number) / %(kept)s
            ELSE interval '40 days' + interval '139 days' * (%(rows)s - number) / %(rows)s END AS at
        FROM (
            SELECT number, CASE WHEN number <= %(prunable)s THEN 'old' WHEN number <= 2 * %(prunable)s THEN 'prunable'
                WHEN number > %(rows)s - %(kept)s THEN 'kept' ELSE 'emptied' END AS age
            FROM generate_series(1, %(rows)s::bigint) AS number
        ) AS aged
    ) AS event"""

ORGANIZATIONS = """
    INSERT INTO organizations (id, stripe_customer_id, created_at, as_of, source, rank, trail)
        SELECT 'org_' || n, 'cus_' || n, now(), to_timestamp(1700000000), 'event', 0, ARRAY[md5(n::text)]
        FROM generate_series(0, %(organizations)s - 1) AS n;
    INSERT INTO subscriptions (id, organization_id, status, currency, items, created, as_of, source, rank, trail)
        SELECT 'sub_' || n, 'org_' || n, 'active', 'usd', jsonb_build_array(jsonb_build_object('id', 'si_' || n,
                'price_id', 'price_plus', 'product_id', %(plus)s, 'quantity', 1,
                'current_period_start', '2026-11-01T00:02:00+00:00',
                'current_period_end', '2026-12-01T00:02:00+00:00')),
            to_timestamp(1700000000), to_timestamp(1700000000), 'event', 0, ARRAY[md5(n::text)]
        FROM generate_series(0, %(organizations)s - 1) AS n;
    INSERT INTO invoices (id, organization_id, subscription_id, status, currency, total, amount_due, amount_paid,
            amount_remaining, created, as_of, source, rank, trail)
        SELECT 'in_' || n, 'org_' || n, 'sub_' || n, 'paid', 'usd', 50000, 50000, 50000, 0,
            to_timestamp(1700000000), to_timestamp(1700000000), 'event', 3, ARRAY[md5(n::text)]
        FROM generate_series(0, %(organizations)s - 1) AS n;
    INSERT INTO organization_plans (organization_id, plan, requested_plan, status, standing, quantity, currency,
            subscription_id, current_period_start, current_period_end, as_of, version)
        SELECT 'org_' || n, 'plus', 'plus', 'active', 'good', 1, 'usd', 'sub_' || n, '2026-11-01T00:02:00+00:00',
            '2026-12-01T00:02:00+00:00', now(), 1
        FROM generate_series(0, %(organizations)s - 1) AS n;
    INSERT INTO plans (product_id, key, name, active, as_of, source)
        VALUES (%(plus)s, 'plus', 'Plus', true, to_timestamp(1700000000), 'event')"""


def with_organizations(connection: psycopg.Connection, organizations: int) -> None:
    """Insert organizations, each with a subscription, an invoice and a row in the plan table."""
    connection.execute(QUICKLY)
    cursor = psycopg.ClientCursor(connection)  # several statements with parameters, so the client must interpolate them
    cursor.execute(ORGANIZATIONS, {"organizations": organizations, "plus": bulk_events.product_id()})
    connection.execute("VACUUM ANALYZE organizations, subscriptions, invoices, organization_plans, plans")


def with_events(connection: psycopg.Connection, rows: int, organizations: int) -> None:
    """Replace the stored events with ``rows`` processed ones."""
    connection.execute(QUICKLY)
    connection.execute("TRUNCATE webhook_events; DROP TABLE IF EXISTS samples")
    indexes = connection.execute(INDEXES).fetchall()
    for name, _ in indexes:
        connection.execute(f'DROP INDEX "{name}"')
    connection.execute("ALTER TABLE webhook_events DROP CONSTRAINT pk_webhook_events")
    connection.execute(SAMPLES)
    bodies = [delivery.partition(b"\r\n\r\n")[2] for delivery in bulk_events.requests(PAYLOADS, organizations)]
    connection.cursor().executemany("INSERT INTO samples VALUES (%s, %s)", list(enumerate(bodies)))
    numbers = {"rows": rows, "organizations": organizations, "payloads": PAYLOADS}
    numbers |= {"kept": min(rows // 6, KEPT_PAYLOADS), "prunable": min(rows // 10, PRUNABLE)}
    psycopg.ClientCursor(connection).execute(EVENTS, numbers)
    connection.execute("ALTER TABLE webhook_events ADD CONSTRAINT pk_webhook_events PRIMARY KEY (id)")
    for _, definition in indexes:
        connection.execute(definition)
    connection.execute("VACUUM ANALYZE webhook_events")
    connection.execute("CHECKPOINT")
