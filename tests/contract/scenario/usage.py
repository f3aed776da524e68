from contextlib import suppress
from typing import Any

import stripe

from tests.contract.stage import ScenarioAccount


def meters_come_and_go(stage: ScenarioAccount) -> None:
    meters = stage.v1.billing.meters
    meter = stage.meter()
    meters.update(meter.id, {"display_name": "Calls"})
    meters.deactivate(meter.id)
    meters.reactivate(meter.id)
    meters.retrieve(meter.id)
    meters.list()


def usage_is_counted(stage: ScenarioAccount) -> None:
    meter, customer = stage.meter(), stage.customer()
    event = stage.use(customer.id, 3)
    times: Any = {"customer": customer.id, "start_time": 0, "end_time": 60}
    stage.v1.billing.meters.event_summaries.list(meter.id, times)
    cancel: Any = {"event_name": "api_calls", "type": "cancel", "cancel": {"identifier": event.identifier}}
    stage.v1.billing.meter_event_adjustments.create(cancel)


def usage_is_validated_synchronously(stage: ScenarioAccount) -> None:
    stage.meter()
    payload = {"stripe_customer_id": "cus_unknown", "value": "3"}
    stage.client.v2.billing.meter_events.create({"event_name": "api_calls", "payload": payload, "identifier": "use_1"})
    [report] = stage.client.v2.core.events.list().data
    stage.client.v2.core.events.retrieve(report.id)
    with suppress(stripe.InvalidRequestError):
        stage.client.v2.billing.meter_events.create({"event_name": "no_such", "payload": payload})


def usage_is_billed_with_and_without_tiers(stage: ScenarioAccount) -> None:
    meter, customer = stage.meter().id, stage.customer().id
    tiers = [{"up_to": 5, "unit_amount": 1, "flat_amount": 500}, {"up_to": "inf", "unit_amount_decimal": "0.5"}]
    tiered = stage.metered(meter, billing_scheme="tiered", tiers_mode="graduated", tiers=tiers)
    stage.v1.prices.retrieve(tiered.id, {"expand": ["tiers"]})
    params: Any = {"items": [{"price": price.id} for price in (stage.price(900), tiered, stage.metered(meter))]}
    subscription = stage.v1.subscriptions.create(params | {"customer": customer})
    stage.use(customer, 70)
    stage.v1.subscription_items.delete(subscription.items.data[2].id)
    stage.v1.subscriptions.cancel(subscription.id, {"invoice_now": True})
    stage.subscribe(customer, tiered.id)
