from contextlib import suppress
from typing import Any

import stripe

from tests.contract.stage import ScenarioAccount
from tests.support.clock import DAY


def cards_come_and_go(stage: ScenarioAccount) -> None:
    methods = stage.v1.payment_methods
    customer = stage.v1.customers.create()
    billing: Any = {"address": {"country": "DE"}, "email": "a@example.test"}
    card = methods.create({"type": "card", "card": {"token": "tok_visa"}, "billing_details": billing})
    methods.attach(card.id, {"customer": customer.id})
    methods.update(card.id, {"card": {"exp_month": 1, "exp_year": 2040}, "metadata": {"a": "b"}})
    methods.retrieve(card.id)
    methods.list({"customer": customer.id, "type": "card"})
    stage.v1.customers.payment_methods.list(customer.id)
    stage.v1.customers.payment_methods.retrieve(customer.id, card.id)
    stage.v1.customers.update(customer.id, {"invoice_settings": {"default_payment_method": card.id}})
    methods.detach(card.id)
    with suppress(stripe.CardError):
        methods.attach("pm_card_visa_chargeDeclined", {"customer": customer.id})


def setup_intents_are_confirmed_or_given_up(stage: ScenarioAccount) -> None:
    intents = stage.v1.setup_intents
    customer = stage.v1.customers.create()
    intent = intents.create({"customer": customer.id, "usage": "off_session"})
    intents.confirm(intent.id, {"payment_method": "pm_card_mastercard"})
    intents.retrieve(intent.id)
    intents.list({"customer": customer.id})
    intents.cancel(intents.create().id, {"cancellation_reason": "abandoned"})


def payment_intents_wait_for_the_holder(stage: ScenarioAccount) -> None:
    customer = stage.customer("pm_card_authenticationRequired")
    subscription = stage.subscribe(customer.id, stage.price(2000).id)
    secret: Any = {"expand": ["confirmation_secret", "payments"]}
    invoice = stage.v1.invoices.retrieve(str(subscription.latest_invoice), secret)
    assert invoice.confirmation_secret is not None
    intent = invoice.confirmation_secret.client_secret.partition("_secret_")[0]
    stage.v1.payment_intents.retrieve(intent)
    with suppress(stripe.CardError):
        stage.v1.payment_intents.confirm(intent, {"payment_method": "pm_card_chargeCustomerFail"})
    stage.v1.payment_intents.confirm(intent, {"payment_method": "pm_card_visa"})
    stage.v1.payment_intents.retrieve(intent)
    stage.v1.invoices.retrieve(invoice.id, secret)
    stage.v1.invoice_payments.list({"invoice": invoice.id})
    stage.v1.payment_intents.list({"customer": customer.id})
    charges = stage.v1.charges.list({"customer": customer.id})
    stage.v1.charges.retrieve(charges.data[0].id)


def bank_debits_settle_or_fail(stage: ScenarioAccount) -> None:
    clock = stage.test_clock()
    for token, currency in (("pm_usBankAccount", "usd"), ("pm_sepaDebit_failed_de", "eur")):
        customer = stage.on_clock(clock, token)
        subscription = stage.subscribe(customer.id, stage.price(2000, currency=currency).id)
        stage.v1.invoices.retrieve(str(subscription.latest_invoice), {"expand": ["payments", "confirmation_secret"]})
        stage.advance(clock, stage.standing(clock).frozen_time + 5 * DAY)
        stage.v1.payment_methods.list({"customer": customer.id})
        stage.v1.payment_intents.list({"customer": customer.id})
        stage.v1.charges.list({"customer": customer.id})


def link_pays(stage: ScenarioAccount) -> None:
    link = stage.v1.payment_methods.create({"type": "link", "billing_details": {"email": "a@example.test"}})
    stage.subscribe(stage.customer(link.id).id, stage.price(2000).id)


def sources_come_and_go(stage: ScenarioAccount) -> None:
    customer = stage.v1.customers.create({"source": "tok_visa"})
    sources = stage.v1.customers.payment_sources
    source = sources.create(customer.id, {"source": "tok_amex", "metadata": {"a": "b"}}).id
    stage.v1.customers.retrieve(customer.id, {"expand": ["default_source", "sources"]})
    sources.retrieve(customer.id, source)
    sources.list(customer.id)
    stage.subscribe(customer.id, stage.price(2000).id, default_source=source)
    sources.delete(customer.id, source)
