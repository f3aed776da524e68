"""Meters, the events they take, and what they make of them."""

from typing import Any

import pytest
import stripe

from tests.sandbox.support import START, Account, Clock, plain

HOUR, DAY = 3600, 86400
MIDNIGHT = START - START % DAY


@pytest.fixture
def customer(account: Account) -> str:
    return account.customer(card=None).id


def refused(call: Any, *args: Any, **more: Any) -> stripe.InvalidRequestError:
    with pytest.raises(stripe.InvalidRequestError) as error:
        call(*args, **more)
    return error.value


def total(account: Account, meter: str, customer: str, **window: int) -> float:
    times = {"start_time": MIDNIGHT - 40 * DAY, "end_time": MIDNIGHT + 40 * DAY} | window
    params: Any = {"customer": customer, **times}
    (row,) = account.v1.billing.meters.event_summaries.list(meter, params).data
    return row.aggregated_value


class TestMeters:
    def test_a_new_one_is_active_and_reads_the_usual_keys(self, account: Account) -> None:
        meter = plain(account.meter())
        assert meter["id"].startswith("mtr_test_61")
        assert meter["customer_mapping"] == {"event_payload_key": "stripe_customer_id", "type": "by_id"}
        assert meter["value_settings"] == {"event_payload_key": "value"}
        assert (meter["status"], meter["event_time_window"]) == ("active", None)

    def test_only_one_active_meter_listens_to_a_name(self, account: Account) -> None:
        first = account.meter()
        error = refused(account.meter)
        assert "An active meter already exists for event name 'api_calls'." in str(error)
        account.v1.billing.meters.deactivate(first.id)
        account.meter()
        assert "already exists" in str(refused(account.v1.billing.meters.reactivate, first.id))

    def test_its_name_can_change_and_it_can_sleep(self, account: Account, clock: Clock) -> None:
        meters = account.v1.billing.meters
        meter = account.meter()
        clock.now += 5
        meters.update(meter.id, {"display_name": "Calls"})
        asleep = meters.deactivate(meter.id)
        assert (asleep.status, asleep.status_transitions.deactivated_at) == ("inactive", clock.now)
        assert [row.id for row in meters.list({"status": "inactive"}).data] == [meter.id]
        awake = meters.reactivate(meter.id)
        assert (awake.status, awake.status_transitions.deactivated_at) == ("active", None)
        assert meters.retrieve(meter.id).display_name == "Calls"
        told = [event.type for event in account.events()]
        names = ("created", "updated", "deactivated", "reactivated")
        assert told == [f"billing.meter.{name}" for name in names]
        assert plain(account.events()[1])["data"]["previous_attributes"] == {
            "display_name": "api calls",
            "updated": START,
        }

    def test_an_unknown_one_is_not_found(self, account: Account) -> None:
        error = refused(account.v1.billing.meters.retrieve, "mtr_none")
        assert (error.http_status, error.code) == (404, "resource_missing")

    def test_a_metered_price_names_an_active_meter(self, account: Account) -> None:
        meter = account.meter()
        assert plain(account.metered(meter.id))["recurring"]["meter"] == meter.id
        assert "must be backed by meters" in str(refused(account.metered, ""))
        assert refused(account.metered, "mtr_none").param == "recurring[meter]"
        account.v1.billing.meters.deactivate(meter.id)
        assert "inactive" in str(refused(account.metered, meter.id))

    def test_a_licensed_price_names_none(self, account: Account) -> None:
        recurring = {"interval": "month", "meter": account.meter().id}
        assert refused(account.price, 100, recurring=recurring).param == "recurring[meter]"


class TestEvents:
    def test_an_event_is_answered_as_it_was_taken(self, account: Account, customer: str) -> None:
        account.meter()
        event = plain(account.use(customer, 3, identifier="one", timestamp=START - 60))
        assert event == {
            "object": "billing.meter_event",
            "created": START,
            "event_name": "api_calls",
            "identifier": "one",
            "livemode": False,
            "payload": {"stripe_customer_id": customer, "value": "3"},
            "timestamp": START - 60,
        }

    def test_an_identifier_counts_once_within_a_day(self, account: Account, customer: str, clock: Clock) -> None:
        meter = account.meter()
        account.use(customer, 3, identifier="one")
        clock.now += DAY - 1
        error = refused(account.use, customer, 3, identifier="one")
        assert "An event already exists with identifier one." in str(error)
        assert total(account, meter.id, customer) == 3
        clock.now += 1
        account.use(customer, 3, identifier="one")
        assert total(account, meter.id, customer) == 6

    def test_events_without_identifier_all_count(self, account: Account, customer: str) -> None:
        meter = account.meter()
        identifiers = {account.use(customer, 1).identifier for _ in range(3)}
        assert len(identifiers) == 3
        assert total(account, meter.id, customer) == 3

    @pytest.mark.parametrize("timestamp", [START - 35 * DAY, START + 300])
    def test_the_edges_of_the_time_window_are_taken(self, account: Account, customer: str, timestamp: int) -> None:
        meter = account.meter()
        account.use(customer, 2, timestamp=timestamp)
        assert total(account, meter.id, customer) == 2

    @pytest.mark.parametrize("timestamp", [START - 35 * DAY - 1, START + 301])
    def test_beyond_the_time_window_they_are_refused(self, account: Account, customer: str, timestamp: int) -> None:
        account.meter()
        error = refused(account.use, customer, 2, timestamp=timestamp)
        assert (error.http_status, error.param) == (400, "timestamp")

    def test_no_active_meter_no_event(self, account: Account, customer: str) -> None:
        error = refused(account.use, customer, 1)
        assert 'No active meter found for event name "api_calls".' in str(error)
        account.v1.billing.meters.deactivate(account.meter().id)
        refused(account.use, customer, 1)

    def test_usage_of_nobody_is_taken_and_counts_for_nobody(self, account: Account, customer: str) -> None:
        meter = account.meter()
        account.use("cus_unknown", 7)
        assert total(account, meter.id, customer) == 0

    @pytest.mark.parametrize("payload", [{}, {"stripe_customer_id": "cus_1"}, {"value": "1"}])
    def test_a_payload_must_be_complete(self, account: Account, payload: dict[str, str]) -> None:
        account.meter()
        params: Any = {"event_name": "api_calls", "payload": {"more": "x"} | payload}
        refused(account.v1.billing.meter_events.create, params)

    @pytest.mark.parametrize("value", ["many", "1e3", "NaN", "1."])
    def test_a_value_must_be_a_number(self, account: Account, customer: str, value: str) -> None:
        account.meter()
        assert refused(account.use, customer, value).param == "payload[value]"

    def test_keys_of_the_payload_are_the_meters(self, account: Account, customer: str) -> None:
        mapping = {"type": "by_id", "event_payload_key": "who"}
        meter = account.meter(customer_mapping=mapping, value_settings={"event_payload_key": "tokens"})
        payload = {"who": customer, "tokens": "4"}
        account.v1.billing.meter_events.create({"event_name": "api_calls", "payload": payload})
        assert total(account, meter.id, customer) == 4

    def test_a_canceled_event_counts_no_longer(self, account: Account, customer: str, clock: Clock) -> None:
        meter = account.meter()
        account.use(customer, 3, identifier="one")
        account.use(customer, 4, identifier="two")
        clock.now += DAY - 1
        cancel: Any = {"event_name": "api_calls", "type": "cancel", "cancel": {"identifier": "one"}}
        adjustment = account.v1.billing.meter_event_adjustments.create(cancel)
        assert (adjustment.status, plain(adjustment)["cancel"]) == ("pending", {"identifier": "one"})
        assert total(account, meter.id, customer) == 4
        clock.now += 1
        cancel["cancel"]["identifier"] = "two"
        assert refused(account.v1.billing.meter_event_adjustments.create, cancel).code == "resource_missing"
        assert total(account, meter.id, customer) == 4


class TestSummaries:
    @pytest.mark.parametrize(("formula", "expected"), [("sum", 9.5), ("count", 3), ("last", 2.5)])
    def test_the_formula_decides(self, account: Account, customer: str, formula: str, expected: float) -> None:
        meter = account.meter(formula=formula)
        account.use(customer, "2.5", timestamp=START + 10)
        account.use(customer, 3, timestamp=START)
        account.use(customer, 4, timestamp=START - DAY)
        assert total(account, meter.id, customer) == expected

    @pytest.mark.parametrize(("window", "expected"), [(None, 15), ("hour", 14), ("day", 12)])
    def test_the_last_event_of_a_window_overwrites(
        self, account: Account, customer: str, window: str | None, expected: int
    ) -> None:
        meter = account.meter(**({"event_time_window": window} if window else {}))
        for value, at in ((1, 0), (2, 60), (4, 2 * HOUR), (8, DAY)):
            account.use(customer, value, timestamp=MIDNIGHT - 3 * DAY + at)
        assert total(account, meter.id, customer) == expected

    def test_the_start_belongs_to_it_and_the_end_does_not(self, account: Account, customer: str) -> None:
        meter = account.meter()
        for value, at in ((1, -1), (2, 0), (4, 59), (8, 60)):
            account.use(customer, value, timestamp=MIDNIGHT + at)
        assert total(account, meter.id, customer, start_time=MIDNIGHT, end_time=MIDNIGHT + 60) == 6

    def test_grouped_by_hour_the_latest_comes_first(self, account: Account, customer: str) -> None:
        meter = account.meter()
        for value, at in ((1, 0), (2, HOUR), (4, HOUR + 5), (8, 3 * HOUR)):
            account.use(customer, value, timestamp=MIDNIGHT - DAY + at)
        params: Any = {"customer": customer, "start_time": MIDNIGHT - DAY, "end_time": MIDNIGHT}
        rows = account.v1.billing.meters.event_summaries.list(meter.id, params | {"value_grouping_window": "hour"}).data
        assert [(row.start_time, row.end_time, row.aggregated_value) for row in rows] == [
            (MIDNIGHT - DAY + at, MIDNIGHT - DAY + at + HOUR, value) for at, value in ((3 * HOUR, 8), (HOUR, 6), (0, 1))
        ]

    def test_they_are_paged_both_ways(self, account: Account, customer: str) -> None:
        meter = account.meter()
        for day in range(5):
            account.use(customer, day + 1, timestamp=MIDNIGHT - day * DAY)
        params: Any = {"customer": customer, "start_time": MIDNIGHT - 9 * DAY, "end_time": MIDNIGHT + DAY}
        params |= {"value_grouping_window": "day", "limit": 2}
        summaries = account.v1.billing.meters.event_summaries
        rows = list(summaries.list(meter.id, params).auto_paging_iter())
        assert [row.aggregated_value for row in rows] == [1, 2, 3, 4, 5]
        assert summaries.list(meter.id, params).has_more
        before = summaries.list(meter.id, params | {"ending_before": rows[3].id})
        assert [row.aggregated_value for row in before.data] == [2, 3]
        assert refused(summaries.list, meter.id, params | {"starting_after": "none"}).param == "starting_after"

    @pytest.mark.parametrize(
        ("change", "param"),
        [
            ({"start_time": MIDNIGHT + 1}, "start_time"),
            ({"end_time": MIDNIGHT + 61}, "end_time"),
            ({"end_time": MIDNIGHT}, "end_time"),
            ({"end_time": MIDNIGHT + 60, "value_grouping_window": "hour"}, "end_time"),
            ({"start_time": MIDNIGHT + HOUR, "value_grouping_window": "day"}, "start_time"),
            ({"customer": "cus_none"}, "customer"),
        ],
    )
    def test_times_must_be_aligned(self, account: Account, customer: str, change: dict[str, Any], param: str) -> None:
        meter = account.meter()
        params: Any = {"customer": customer, "start_time": MIDNIGHT, "end_time": MIDNIGHT + DAY} | change
        assert refused(account.v1.billing.meters.event_summaries.list, meter.id, params).param == param


def test_a_summary_of_all_time_is_answered_at_once(account: Account) -> None:
    customer, meter = account.customer(), account.meter()
    account.use(customer.id, 7)
    wanted: Any = {"customer": customer.id, "start_time": 0, "end_time": 10**15 - 10**15 % DAY}
    assert account.v1.billing.meters.event_summaries.list(meter.id, wanted).data[0].aggregated_value == 7
    by_hour = account.v1.billing.meters.event_summaries.list(meter.id, wanted | {"value_grouping_window": "hour"})
    assert [summary.aggregated_value for summary in by_hour.data] == [7]
