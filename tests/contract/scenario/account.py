from tests.contract.stage import ScenarioAccount


def the_account_is_read(stage: ScenarioAccount) -> None:
    stage.v1.accounts.retrieve_current()


def an_event_is_read(stage: ScenarioAccount) -> None:
    stage.v1.customers.create()
    stage.v1.events.retrieve(stage.v1.events.list().data[0].id)


def endpoints_come_and_go(stage: ScenarioAccount) -> None:
    endpoints = stage.v1.webhook_endpoints
    endpoint = endpoints.create({"url": "http://127.0.0.1:9/closed", "enabled_events": ["charge.failed"]})
    endpoints.update(endpoint.id, {"disabled": True, "metadata": {"a": "b"}, "description": "off"})
    endpoints.retrieve(endpoint.id)
    endpoints.list()
    endpoints.delete(endpoint.id)
