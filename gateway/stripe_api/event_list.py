"""Stripe's list of events. It covers the last 30 days and starts with the newest event.

https://docs.stripe.com/api/events/list
"""

from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

from stripe import StripeClient

from gateway.stripe_api.events import JsonObject
from gateway.stripe_api.times import to_unix

PAGE = 100  # the most that Stripe returns in one page


@dataclass(frozen=True, kw_only=True)
class EventPage:
    """One page of Stripe's events, as the JSON that Stripe sent. No SDK object alters it before the inbox stores it."""

    events: list[JsonObject]
    has_more: bool
    answered_at: datetime


def list_events(stripe: StripeClient, since: datetime | None, cursor: str | None) -> EventPage:
    """Return a page of the events created at or after ``since``, and before the event ``cursor`` if there is one."""
    params: dict[str, Any] = {"limit": PAGE}
    if since is not None:
        params["created"] = {"gte": to_unix(since)}
    if cursor is not None:
        params["starting_after"] = cursor
    answer = stripe.raw_request("get", "/v1/events", **params)
    page = cast("dict[str, Any]", answer.data)
    return EventPage(
        events=page["data"],
        has_more=page["has_more"],
        answered_at=parsedate_to_datetime(answer.headers["Date"]),
    )
