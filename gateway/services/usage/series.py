"""Show an organization's usage by meter and day, from our own records and without a call to Stripe."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import text

from gateway.errors import InvalidRequest
from gateway.services.runtime import Gateway
from gateway.services.usage.aggregation import add_up

LONGEST = timedelta(days=366)
EARLIEST, LATEST = date(2000, 1, 1), date(2999, 12, 31)

SELECT_DAYS = text(f"""
    SELECT meter, CAST(starts_at AT TIME ZONE 'UTC' AS date) AS day, {add_up()} AS quantity,
        {add_up("state IN ('sent', 'invoiced')")} AS acknowledged,
        sum(quantity) FILTER (WHERE state = 'refused') AS refused
    FROM usage_reports
    WHERE organization_id = :organization_id AND starts_at >= :since AND starts_at < :until
    GROUP BY meter, aggregation, day ORDER BY meter, day
""")  # nosec B608  # noqa: S608 - the expressions are ours


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """Usage of one meter."""

    quantity: int
    acknowledged: int
    """The part that Stripe has counted or bills. Usage of the floor plan is never sent to Stripe."""
    refused: int
    """The part that Stripe refused and does not bill."""


@dataclass(frozen=True, kw_only=True)
class Day(Amounts):
    """Usage on one day in UTC."""

    date: date


@dataclass(frozen=True, kw_only=True)
class MeterUsage:
    """The days with usage of one meter, and their total."""

    meter: str
    name: str
    aggregation: str
    total: Amounts
    days: list[Day]


@dataclass(frozen=True, kw_only=True)
class UsageSeries:
    """The usage of all meters from one day to another. Both days are included."""

    first: date
    last: date
    meters: list[MeterUsage]


def load_series(gateway: Gateway, organization_id: str, first: date | None, last: date | None) -> UsageSeries:
    """Return the usage from ``first`` to ``last``, by default of this calendar month. Raise InvalidRequest."""
    last = last or gateway.clock().date()
    first = first or last.replace(day=1)
    if not EARLIEST <= first <= last <= LATEST or last - first >= LONGEST:
        raise InvalidRequest(f"`to` must be on or after `from`, and there may be at most {LONGEST.days} days.")
    values = {"organization_id": organization_id, "since": begin_of(first), "until": begin_of(last + timedelta(days=1))}
    days: dict[str, list[Day]] = {each.key: [] for each in gateway.catalog.meters}
    for row in gateway.database.fetch(SELECT_DAYS, values):
        amounts = {name: int(getattr(row, name) or 0) for name in ("quantity", "acknowledged", "refused")}
        days.setdefault(row.meter, []).append(Day(date=row.day, **amounts))
    known = {each.key: each for each in gateway.catalog.meters}
    return UsageSeries(
        first=first,
        last=last,
        meters=[
            MeterUsage(
                meter=key,
                name=known[key].name if key in known else key,
                aggregation=known[key].aggregation if key in known else "sum",
                total=compute_total(found, keeps_last=key in known and known[key].aggregation == "last"),
                days=found,
            )
            for key, found in days.items()
        ],
    )


def begin_of(day: date) -> datetime:
    """Return the start of a day in UTC."""
    return datetime.combine(day, time(), UTC)


def compute_total(days: Iterable[Day], *, keeps_last: bool) -> Amounts:
    """Return the total of the days. For a meter that keeps the last value, that is the last day's value."""
    found = list(days)
    counted = found[-1:] if keeps_last else found
    return Amounts(
        quantity=sum(each.quantity for each in counted),
        acknowledged=sum(each.acknowledged for each in counted),
        refused=sum(each.refused for each in found),
    )
