"""The phase of the drift walk that finds payment methods which no customer and no subscription names."""

from contextlib import suppress
from datetime import timedelta
from typing import Any

from gateway.services.reconciliation import compare
from gateway.services.reconciliation.drift_phases import FindUnseen, Page, fetch_list
from gateway.services.reconciliation.progress import DRIFT, checked_until
from gateway.services.runtime import Gateway
from gateway.stripe_api.snapshots import PaymentMethodSnapshot, Seen, UnreadableObject, body_of
from gateway.stripe_api.times import to_unix

LONGEST_SETUP = timedelta(days=1)  # from the creation of a setup intent to its confirmation in a browser


def compare_added_payment_methods(gateway: Gateway, cursor: str | None, _: FindUnseen) -> Page:
    """Compare the payment methods that setup intents have attached since the last walk.

    Stripe lists payment methods only for one customer at a time. Browsers add them with setup intents, and all of those
    are in one list. https://docs.stripe.com/api/setup_intents/list
    """
    with gateway.database.reading() as session:
        since = checked_until(session, DRIFT)
    params: dict[str, Any] = {"expand": ["data.payment_method"]}
    if since is not None:
        params["created"] = {"gte": to_unix(since - LONGEST_SETUP)}
    answer = fetch_list(gateway, "setup_intents", cursor, **params)
    seen, page = Seen.in_answer(answer, cause="drift"), body_of(answer)
    methods = [each["payment_method"] for each in page["data"] if each["status"] == "succeeded"]
    snapshots = []
    for each in methods:
        with suppress(UnreadableObject):  # the mirror lacks it, as it does after its unreadable events
            snapshots.append(PaymentMethodSnapshot.read(each, seen))
    with gateway.database.reading() as session:
        differences = compare.find_differences(session, snapshots)
    return Page(
        cursor=page["data"][-1]["id"] if page["has_more"] else None,
        looked_at=len(page["data"]),
        answered_at=seen.as_of,
        differences=differences,
        seen=[each.id for each in snapshots],
    )
