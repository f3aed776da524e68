"""Note what Stripe refused after it had accepted it. Stripe reports this in thin events.

https://docs.stripe.com/billing/subscriptions/usage-based/recording-usage-api#handle-meter-event-errors
"""

import re
import uuid
from collections.abc import Iterator
from typing import Any

import structlog

from gateway.db.models import UsageReport
from gateway.errors import NotFound
from gateway.services.rate_limits.stripe_budget import Priority, calling_as
from gateway.services.runtime import Gateway
from gateway.services.usage.claim import Reason, refuse
from gateway.services.usage.report_to_stripe import REASONS
from gateway.stripe_api.client import stripe_call

IDENTIFIER = re.compile(r"usage_([0-9a-f]{32})(_\d+)*")

log = structlog.get_logger()


def note_refused_usage(gateway: Gateway, event_id: str) -> int:
    """Run the job that retrieves an error report, and mark the reports that it names. Return their number.

    Stripe names samples only, so the log also says how many events it refused. Raise StripeUnavailable.
    """
    try:
        with calling_as(Priority.REFRESH), stripe_call():
            event = gateway.stripe.v2.core.events.retrieve(event_id).to_dict(for_json=True)
    except NotFound:
        log.warning("usage_error_report_gone", event_id=event_id)
        return 0
    reason = event["data"]["reason"]
    log.error("usage_errors_reported", event_id=event_id, errors=reason["error_count"])
    noted = 0
    with gateway.database.transaction() as session:
        for report_id, code, message in sorted(read_samples(reason)):
            row = session.get(UsageReport, report_id, with_for_update=True)
            if row is not None and row.state in ("sending", "sent"):
                refuse(row, REASONS.get(code, Reason.OTHER), f"{code}: {message}"[:500], gateway.clock())
                noted += 1
    return noted


def read_samples(reason: dict[str, Any]) -> Iterator[tuple[uuid.UUID, str, str]]:
    """Yield the id of each report that Stripe names, with Stripe's code and message.

    Stripe names a request by its idempotency key, which begins with our identifier. Other programs send events too.
    """
    for error in reason["error_types"]:
        for sample in error["sample_errors"]:
            if found := IDENTIFIER.fullmatch(sample["request"]["identifier"]):
                yield uuid.UUID(found[1]), error["code"], sample["error_message"]
