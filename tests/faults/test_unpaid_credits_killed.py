"""Web dies while it withdraws a credit for unpaid time. The job completes the withdrawal once."""

from datetime import timedelta

import pytest
import requests

from gateway.db import jobs
from gateway.failpoints import KILLED, Failpoint
from tests.faults.changes import DECLINED, enrol, interface, let_a_minute_pass
from tests.support.deployment import Deployment
from tests.support.wait import eventually

UNPAID = "SELECT id FROM invoices WHERE status = 'open' AND amount_remaining > 0"
PLACES = [Failpoint.ANSWER_MERGED, Failpoint.CREDIT_CHARGED_BACK, Failpoint.CREDIT_NOTE_ISSUED]


def fall_behind(stage: Deployment) -> str:
    """Put an organization on Plus, let its renewal fail, and return the unpaid invoice."""
    enrol(stage, "org_late", DECLINED)
    with interface(stage, "org_late") as api:
        api.ok("PATCH", "/subscription", plan="plus")
    ahead = timedelta(days=32).total_seconds()
    base = stage.gateway.config.stripe_api_base
    requests.post(f"{base}/_sandbox/clock", json={"advance": int(ahead)}, timeout=30).raise_for_status()
    eventually(lambda: bool(stage.rows(UNPAID)))
    [(invoice,)] = stage.rows(UNPAID)
    return str(invoice)


@pytest.mark.parametrize("point", PLACES)
def test_withdrawal_survives_the_death_of_web(own: Deployment, point: Failpoint) -> None:
    own.work()
    web = own.serve(dying_at=point)  # it only takes webhooks until the downgrade
    invoice = fall_behind(own)
    with pytest.raises(requests.ConnectionError):
        own.api("org_late", "DELETE", "/subscription")
    eventually(lambda: f"exited with code {KILLED}" in web.log())
    web.kill()
    own.serve()
    own.rows("UPDATE procrastinate_jobs SET scheduled_at = now() WHERE task_name = %s", jobs.WITHDRAW_CREDITS)
    let_a_minute_pass(own)
    eventually(lambda: len(own.stripe.v1.credit_notes.list({"invoice": invoice}).data) == 1)
    eventually(
        lambda: own.number("SELECT count(*) FROM procrastinate_jobs WHERE task_name = %s", jobs.WITHDRAW_CREDITS) == 0
    )
    [note] = own.stripe.v1.credit_notes.list({"invoice": invoice}).data
    pending = own.stripe.v1.invoice_items.list({"pending": True}).data
    assert sorted(item.amount for item in pending) == [-note.total, note.total]
