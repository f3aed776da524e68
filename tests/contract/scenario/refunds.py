from contextlib import suppress

import requests
import stripe

from tests.contract.stage import ScenarioAccount


def charges_are_refunded(stage: ScenarioAccount) -> None:
    refunds = stage.v1.refunds
    stage.subscribe(stage.customer().id, stage.price(1000).id)
    charge = stage.v1.charges.list().data[0]
    part = refunds.create({"charge": charge.id, "amount": 400, "reason": "requested_by_customer"})
    refunds.create({"payment_intent": str(charge.payment_intent)})
    refunds.update(part.id, {"metadata": {"a": "b"}})
    refunds.retrieve(part.id, {"expand": ["charge"]})
    refunds.list({"charge": charge.id})
    with suppress(stripe.InvalidRequestError):
        refunds.create({"charge": charge.id})


def charges_are_disputed(stage: ScenarioAccount) -> None:
    disputes = stage.v1.disputes
    customer = stage.customer("pm_card_createDispute")
    for text in ("winning_evidence", "losing_evidence", "a letter"):
        stage.subscribe(customer.id, stage.price(1000).id)
        dispute = disputes.list().data[0]
        disputes.update(dispute.id, {"evidence": {"uncategorized_text": text}, "metadata": {"a": "b"}})
    disputes.close(dispute.id)
    disputes.retrieve(dispute.id, {"expand": ["charge"]})
    stage.subscribe(stage.customer().id, stage.price(1000).id)
    url = f"{stage.sandbox.url}/_sandbox/disputes"
    opened = requests.post(url, json={"charge": stage.v1.charges.list().data[0].id, "amount": 500}, timeout=5).json()
    requests.post(f"{url}/{opened['id']}", json={"status": "won"}, timeout=5).raise_for_status()
