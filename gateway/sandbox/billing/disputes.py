"""Disputes of charges (https://docs.stripe.com/disputes). The disputed amount is withdrawn until the dispute is won."""

from gateway.sandbox.errors import invalid, not_built
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects import dispute as objects
from gateway.sandbox.work import Work

_OPEN = {"needs_response", "under_review"}
_OUTCOMES = {"winning_evidence": "won", "losing_evidence": "lost"}
"""The evidence that decides a dispute in test mode (https://docs.stripe.com/testing#disputes)."""


def open_dispute(work: Work, charge: Json, amount: int, reason: str) -> Json:
    """Dispute an amount of the charge."""
    if not charge["paid"] or charge["disputed"]:
        raise invalid("Only a charge that was paid and is not yet disputed can be disputed.", param="charge")
    if not 0 < amount <= charge["amount"] - charge["amount_refunded"]:
        raise invalid("The amount must be above 0 and at most what is left of the charge.", param="amount")
    if charge["payment_method_details"]["type"] != "card":
        raise not_built("disputes of charges that no card paid", "charge")
    dispute = work.add(objects.build(work, charge, amount, reason), "charge.dispute.created")
    work.tell("charge.dispute.funds_withdrawn", dispute)
    work.update(charge, {"disputed": True})
    return dispute


def close(work: Work, dispute: Json, status: str) -> Json:
    """Decide the dispute as ``won`` or ``lost``. A won dispute gives the amount back."""
    if dispute["status"] not in _OPEN:
        raise invalid("This dispute is already closed.", param="dispute")  # inferred wording
    closed = work.update(dispute, {"status": status}, "charge.dispute.closed")
    if status == "won":
        work.tell("charge.dispute.funds_reinstated", closed)
    return closed


def respond(work: Work, dispute: Json, evidence: Json, *, submit: bool) -> Json:
    """Add evidence, and submit it unless the request says otherwise."""
    if dispute["status"] != "needs_response":
        raise invalid("This dispute takes no evidence any more.", param="evidence")  # inferred wording
    given = {key: value or None for key, value in evidence.items()}
    details = dispute["evidence_details"] | {"has_evidence": True}
    if submit:
        details |= {"submission_count": details["submission_count"] + 1, "submission_method": "manual"}
    changes: Json = {"evidence": dispute["evidence"] | given, "evidence_details": details}
    changes |= {"status": "under_review"} if submit else {}
    answered = work.update(dispute, changes, "charge.dispute.updated")
    outcome = _OUTCOMES.get(answered["evidence"]["uncategorized_text"] or "") if submit else None
    return close(work, answered, outcome) if outcome else answered
