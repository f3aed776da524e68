import requests

from tests.contract.stage import ScenarioAccount


def a_customer_comes_and_goes(stage: ScenarioAccount) -> None:
    customers = stage.v1.customers
    customer = customers.create({"email": "a@example.test", "name": "A", "metadata": {"a": "b"}})
    customers.update(customer.id, {"address": {"line1": "1 Main St", "country": "DE"}, "metadata": {"a": "", "c": "d"}})
    customers.update(customer.id, {"shipping": {"name": "A", "address": {"line1": "1 Main St"}}, "phone": "1"})
    customers.retrieve(customer.id)
    customers.list({"email": "a@example.test"})
    stage.subscribe(stage.give_card(customer.id, "pm_card_visa").id, stage.price(900).id)
    customers.delete(customer.id)
    customers.retrieve(customer.id)


def a_balance_is_used_up(stage: ScenarioAccount) -> None:
    customer = stage.customer()
    subscription = stage.subscribe(customer.id, stage.price(9000).id)
    cheap = stage.price(1000).id
    stage.swap(subscription, cheap, proration_behavior="always_invoice")
    stage.v1.customers.balance_transactions.list(customer.id)
    stage.subscribe(customer.id, cheap)


def a_balance_is_adjusted(stage: ScenarioAccount) -> None:
    customer = stage.v1.customers.create()
    transactions = stage.v1.customers.balance_transactions
    made = transactions.create(customer.id, {"amount": -500, "currency": "usd", "description": "sorry"})
    transactions.retrieve(customer.id, made.id)


def tax_ids_are_kept(stage: ScenarioAccount) -> None:
    customer = stage.v1.customers.create()
    tax_ids = stage.v1.customers.tax_ids
    for kind, value in (("eu_vat", "DE123456789"), ("us_ein", "12-3456789")):
        tax_id = tax_ids.create(customer.id, {"type": kind, "value": value})
    tax_ids.retrieve(customer.id, tax_id.id)
    tax_ids.list(customer.id)
    stage.v1.customers.retrieve(customer.id, {"expand": ["tax_ids"]})
    tax_ids.delete(customer.id, tax_id.id)


def customers_are_searched(stage: ScenarioAccount) -> None:
    requests.post(f"{stage.sandbox.url}/_sandbox/settings", json={"search_lag": 0}, timeout=5)
    stage.v1.customers.create({"email": "a@example.test"})
    stage.v1.customers.search({"query": "email:'a@example.test'"})
