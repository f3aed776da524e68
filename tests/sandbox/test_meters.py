"""Meters, the events they accept, and summaries of usage."""

from typing import Any

import pytest
import stripe

from tests.support.clock import START, ManualClock
from tests.support.stripe_account import StripeAccount, plain

HOUR, DAY = 3600, 86400
MIDNIGHT = START - START % DAY


@pytest.fixture
def customer(account: StripeAccount) -> str:
    return account.customer(card=None).id


def refused(call: Any, *args: Any, **more: Any) -> stripe.InvalidRequestError:
    with pytest.raises(stripe.InvalidRequestError) as error:
        call(*args, **more)
    return error.value


def total(account: StripeAccount, meter: str, customer: str, **window: int) -> float:
    times = {"start_time": MIDNIGHT - 40 * DAY, "end_time": MIDNIGHT + 40 * DAY} | window
    params: Any = {"customer": customer, **times}
    (row,) = account.v1.billing.meters.event_summaries.list(meter, params).data
    return row.aggregated_value


class TestMeters:
    def test_new_meter_is_active_with_default_payload_keys(self, account: StripeAccount) -> None:
        meter = plain(account.meter())
        assert meter["id"].startswith("mtr_test_61")
        assert meter["customer_mapping"] == {"event_payload_key": "stripe_customer_id", "type": "by_id"}
        assert meter["value_settings"] == {"event_payload_key": "value"}
        assert (meter["status"], meter["event_time_window"]) == ("active", None)

    def test_event_name_has_only_one_active_meter(self, account: StripeAccount) -> None:
        first = account.meter()
        error = refused(account.meter)
        assert "An active meter already exists for event name 'api_calls'." in str(error)
        account.v1.billing.meters.deactivate(first.id)
        account.meter()
        assert "already exists" in str(refused(account.v1.billing.meters.reactivate, first.id))

    def test_meter_can_be_renamed_and_deactivated(self, account: StripeAccount, clock: ManualClock) -> None:
        meters = account.v1.billing.meters
        meter = account.meter()
        clock.now += 5
        meters.update(meter.id, {"display_name": "Calls"})
        inactive = meters.deactivate(meter.id)
        assert (inactive.status, inactive.status_transitions.deactivated_at) == ("inactive", clock.now)
        assert [row.id for row in meters.list({"status": "inactive"}).data] == [meter.id]
        active = meters.reactivate(meter.id)
        assert (active.status, active.status_transitions.deactivated_at) == ("active", None)
        assert meters.retrieve(meter.id).display_name == "Calls"
        types = [event.type for event in account.events()]
        names = ("created", "updated", "deactivated", "reactivated")
        assert types == [f"billing.meter.{name}" for name in names]
        assert plain(account.events()[1])["data"]["previous_attributes"] == {
            "display_name": "api calls",
            "updated": START,
        }

    def test_unknown_meter_is_not_found(self, account: StripeAccount) -> None:
        error = refused(account.v1.billing.meters.retrieve, "mtr_none")
        assert (error.http_status, error.code) == (404, "resource_missing")

    def test_metered_price_requires_an_active_meter(self, account: StripeAccount) -> None:
        meter = account.meter()
        assert plain(account.metered(meter.id))["recurring"]["meter"] == meter.id
        assert "must be backed by meters" in str(refused(account.metered, ""))
        assert refused(account.metered, "mtr_none").param == "recurring[meter]"
        account.v1.billing.meters.deactivate(meter.id)
        assert "inactive" in str(refused(account.metered, meter.id))

    def test_licensed_price_refuses_a_meter(self, account: StripeAccount) -> None:
        recurring = {"interval": "month", "meter": account.meter().id}
        assert refused(account.price, 100, recurring=recurring).param == "recurring[meter]"


class TestEvents:
    def test_event_response_contains_the_recorded_event(self, account: StripeAccount, customer: str) -> None:
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

    def test_identifier_is_accepted_once_within_a_day(
        self, account: StripeAccount, customer: str, clock: ManualClock
    ) -> None:
        meter = account.meter()
        account.use(customer, 3, identifier="one")
        clock.now += DAY - 1
        error = refused(account.use, customer, 3, identifier="one")
        assert "An event already exists with identifier one." in str(error)
        assert total(account, meter.id, customer) == 3
        clock.now += 1
        account.use(customer, 3, identifier="one")
        assert total(account, meter.id, customer) == 6

    def test_events_without_an_identifier_all_count(self, account: StripeAccount, customer: str) -> None:
        meter = account.meter()
        identifiers = {account.use(customer, 1).identifier for _ in range(3)}
        assert len(identifiers) == 3
        assert total(account, meter.id, customer) == 3

    @pytest.mark.parametrize("timestamp", [START - 35 * DAY, START + 300])
    def test_timestamps_at_the_limits_are_accepted(self, account: StripeAccount, customer: str, timestamp: int) -> None:
        meter = account.meter()
        account.use(customer, 2, timestamp=timestamp)
        assert total(account, meter.id, customer) == 2

    @pytest.mark.parametrize("timestamp", [START - 35 * DAY - 1, START + 301])
    def test_timestamps_beyond_the_limits_are_refused(
        self, account: StripeAccount, customer: str, timestamp: int
    ) -> None:
        account.meter()
        error = refused(account.use, customer, 2, timestamp=timestamp)
        assert (error.http_status, error.param) == (400, "timestamp")

    def test_event_without_an_active_meter_is_refused(self, account: StripeAccount, customer: str) -> None:
        error = refused(account.use, customer, 1)
        assert 'No active meter found for event name "api_calls".' in str(error)
        account.v1.billing.meters.deactivate(account.meter().id)
        refused(account.use, customer, 1)

    def test_usage_of_an_unknown_customer_is_accepted_but_not_counted(
        self, account: StripeAccount, customer: str
    ) -> None:
        meter = account.meter()
        account.use("cus_unknown", 7)
        assert total(account, meter.id, customer) == 0

    @pytest.mark.parametrize("payload", [{}, {"stripe_customer_id": "cus_1"}, {"value": "1"}])
    def test_incomplete_payload_is_refused(self, account: StripeAccount, payload: dict[str, str]) -> None:
        account.meter()
        params: Any = {"event_name": "api_calls", "payload": {"more": "x"} | payload}
        refused(account.v1.billing.meter_events.create, params)

    @pytest.mark.parametrize("value", ["many", "1e3", "NaN", "1."])
    def test_value_that_is_no_number_is_refused(self, account: StripeAccount, customer: str, value: str) -> None:
        account.meter()
        assert refused(account.use, customer, value).param == "payload[value]"

    def test_meter_defines_the_payload_keys(self, account: StripeAccount, customer: str) -> None:
        mapping = {"type": "by_id", "event_payload_key": "who"}
        meter = account.meter(customer_mapping=mapping, value_settings={"event_payload_key": "tokens"})
        payload = {"who": customer, "tokens": "4"}
        account.v1.billing.meter_events.create({"event_name": "api_calls", "payload": payload})
        assert total(account, meter.id, customer) == 4

    def test_canceled_event_no_longer_counts(self, account: StripeAccount, customer: str, clock: ManualClock) -> None:
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
    def test_formula_decides_the_aggregated_value(
        self, account: StripeAccount, customer: str, formula: str, expected: float
    ) -> None:
        meter = account.meter(formula=formula)
        account.use(customer, "2.5", timestamp=START + 10)
        account.use(customer, 3, timestamp=START)
        account.use(customer, 4, timestamp=START - DAY)
        assert total(account, meter.id, customer) == expected

    @pytest.mark.parametrize(("window", "expected"), [(None, 15), ("hour", 14), ("day", 12)])
    def test_last_event_of_a_time_window_replaces_the_others(
        self, account: StripeAccount, customer: str, window: str | None, expected: int
    ) -> None:
        meter = account.meter(**({"event_time_window": window} if window else {}))
        for value, at in ((1, 0), (2, 60), (4, 2 * HOUR), (8, DAY)):
            account.use(customer, value, timestamp=MIDNIGHT - 3 * DAY + at)
        assert total(account, meter.id, customer) == expected

    def test_summary_includes_its_start_but_not_its_end(self, account: StripeAccount, customer: str) -> None:
        meter = account.meter()
        for value, at in ((1, -1), (2, 0), (4, 59), (8, 60)):
            account.use(customer, value, timestamp=MIDNIGHT + at)
        assert total(account, meter.id, customer, start_time=MIDNIGHT, end_time=MIDNIGHT + 60) == 6

    def test_summaries_by_hour_are_latest_first(self, account: StripeAccount, customer: str) -> None:
        meter = account.meter()
        for value, at in ((1, 0), (2, HOUR), (4, HOUR + 5), (8, 3 * HOUR)):
            account.use(customer, value, timestamp=MIDNIGHT - DAY + at)
        params: Any = {"customer": customer, "start_time": MIDNIGHT - DAY, "end_time": MIDNIGHT}
        rows = account.v1.billing.meters.event_summaries.list(meter.id, params | {"value_grouping_window": "hour"}).data
        assert [(row.start_time, row.end_time, row.aggregated_value) for row in rows] == [
            (MIDNIGHT - DAY + at, MIDNIGHT - DAY + at + HOUR, value) for at, value in ((3 * HOUR, 8), (HOUR, 6), (0, 1))
        ]

    def test_summaries_page_in_both_directions(self, account: StripeAccount, customer: str) -> None:
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
    def test_unaligned_times_are_refused(
        self, account: StripeAccount, customer: str, change: dict[str, Any], param: str
    ) -> None:
        meter = account.meter()
        params: Any = {"customer": customer, "start_time": MIDNIGHT, "end_time": MIDNIGHT + DAY} | change
        assert refused(account.v1.billing.meters.event_summaries.list, meter.id, params).param == param


def test_summary_of_all_time_counts_all_usage(account: StripeAccount) -> None:
    customer, meter = account.customer(), account.meter()
    account.use(customer.id, 7)
    wanted: Any = {"customer": customer.id, "start_time": 0, "end_time": 10**15 - 10**15 % DAY}
    assert account.v1.billing.meters.event_summaries.list(meter.id, wanted).data[0].aggregated_value == 7
    by_hour = account.v1.billing.meters.event_summaries.list(meter.id, wanted | {"value_grouping_window": "hour"})
    assert [summary.aggregated_value for summary in by_hour.data] == [7]
