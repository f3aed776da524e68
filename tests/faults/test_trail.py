"""An operator follows one change by its id through the logs of web and worker."""

import json

from tests.support.deployment import Deployment
from tests.support.json_types import Json
from tests.support.wait import eventually


def read_lines(stage: Deployment) -> list[Json]:
    """Return what web and worker have logged, in the order of time. Every line must be JSON."""
    return sorted((json.loads(line) for line in stage.said().splitlines()), key=lambda line: line["timestamp"])


def test_change_is_followed_by_its_id(own: Deployment) -> None:
    web = own.serve()
    worker = own.work()
    own.enrol("org_trail")
    answer = own.api("org_trail", "PATCH", "/subscription", plan="plus")
    change_id = answer.json()["id"]

    def merged() -> list[Json]:
        return [each for each in read_lines(own) if change_id in each.get("change_ids", ())]

    eventually(lambda: merged() != [])
    eventually(own.all_done)
    for process in (web, worker):
        process.ask_to_stop()
        process.wait()
    lines = read_lines(own)
    steps = [each for each in lines if each.get("change_id") == change_id]
    assert {each["organization_id"] for each in steps} == {"org_trail"}
    assert [each["event"] for each in steps][:1] == ["change_requested"]
    assert {each["event"] for each in steps} >= {"stripe_call", "change_closed", "request"}
    # Answer and webhook race. The one that is merged first closes the change, so that line may be the worker's.
    assert {each.get("request_id") for each in steps} - {None} == {answer.headers["X-Request-Id"]}
    call = next(each for each in steps if each["event"] == "stripe_call" and each["method"] == "post")
    assert (call["status"], call["stripe_request_id"][:4], call["ms"] > 0) == (200, "req_", True)
    event_ids = {event_id for each in merged() for event_id in each["event_ids"]}
    delivered = [each for each in lines if each["event"] == "request" and each.get("event_id") in event_ids]
    assert {(each["path"], each["status"]) for each in delivered} == {("/webhooks/stripe", 200)}
    job_ids = {each["job_id"] for each in merged()}
    ended = [each for each in lines if each["event"] == "job_ended" and each["job_id"] in job_ids]
    assert {(each["task"], each["outcome"]) for each in ended} == {("gateway.drain_inbox", "done")}
