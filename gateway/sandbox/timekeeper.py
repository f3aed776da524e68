"""Running of the steps that fall due, on the sandbox's own clock and on test clocks that advance."""

import logging
import threading
from collections.abc import Callable

from gateway.sandbox import clocks
from gateway.sandbox.agenda import next_step
from gateway.sandbox.json_types import Json
from gateway.sandbox.settings import Settings
from gateway.sandbox.store import Store, Tables
from gateway.sandbox.timeline import Timeline
from gateway.sandbox.work import Work

_RETRY_AFTER = 3600
"""Seconds until a failed step on the sandbox's own clock is retried. Without a retry, the object would be stuck."""
_log = logging.getLogger(__name__)


class Timekeeper:
    """The runner of due steps, each in its own unit of work.

    It is not thread-safe, so the caller must hold the engine's lock. ``begin(now)`` opens a unit of work.
    ``commit(work)`` commits it and calls ``watch()``.
    """

    def __init__(
        self,
        store: Store,
        settings: Callable[[], Settings],
        begin: Callable[[int], Work],
        commit: Callable[[Work], None],
    ) -> None:
        self._store = store
        self._settings = settings
        self._begin = begin
        self._commit = commit
        self._timeline = Timeline()
        self._times: dict[str | None, int] = {}
        self.advancing: dict[str, None] = {}
        self.wake = threading.Event()

    def watch(self, changes: Tables) -> None:
        """Schedule the next steps of the objects that a unit of work changed."""
        for kind in ("subscription", "invoice"):
            for obj in changes.get(kind, {}).values():
                if obj is not None:
                    self._schedule(obj)
        for clock_id, clock in changes.get(clocks.KIND, {}).items():
            if clock is None:
                self._timeline.forget(clock_id)
                self.advancing.pop(clock_id, None)
            elif clock["status"] == "advancing":
                self.advancing[clock_id] = None
                self.wake.set()

    def _schedule(self, obj: Json) -> None:
        step = next_step(self._store, obj, self._settings())
        if step:
            self._timeline.put(obj.get("test_clock"), step.at, obj)

    def catch_up(self, now: int) -> None:
        """Run every step that is due on the sandbox's own clock."""
        while self._step(None, now):
            pass
        self._times[None] = max(now, self._times.get(None, now))

    def advance(self, clock_id: str) -> bool:
        """Run one step of an advancing test clock. Return False once the clock has arrived or failed."""
        clock = self._store.find(clocks.KIND, clock_id)
        if clock is None or clock["status"] != "advancing":
            return False
        target = clock["status_details"]["advancing"]["target_frozen_time"]
        self._times[clock_id] = max(clock["frozen_time"], self._times.get(clock_id, 0))
        if self._step(clock_id, target):
            return True
        if clock_id in self.advancing:  # a failed step would have removed it
            self._stop_clock(clock, "ready", target)
        return False

    def _step(self, clock_id: str | None, until: int) -> bool:
        entry = self._timeline.pop(clock_id, until)
        if entry is None:
            return False
        at, _order, kind, object_id = entry
        self._times[clock_id] = max(at, self._times.get(clock_id, at))
        try:
            self._carry_out(kind, object_id, at, self._times[clock_id])
        except Exception:  # noqa: BLE001 - a bug must stop the test clock, as at Stripe, and never the thread
            _log.exception("The due step of %s %s failed", kind, object_id)
            clock = self._store.find(clocks.KIND, clock_id) if clock_id else None
            if clock is None:
                # Count the retry from the present. Otherwise a clock moved by a year would retry it for each hour.
                self._timeline.put(None, until + _RETRY_AFTER, {"id": object_id, "object": kind})
                return True
            self._stop_clock(clock, "internal_failure", clock["frozen_time"])
            return False
        return True

    def _carry_out(self, kind: str, object_id: str, at: int, now: int) -> None:
        """Run the object's due step. Do nothing if a later change has postponed or removed the step."""
        obj = self._store.find(kind, object_id)
        step = next_step(self._store, obj, self._settings()) if obj else None
        if obj is None or step is None or step.at > at:
            return
        work = self._begin(now)
        step.do(work, obj)
        self._commit(work)
        after = self._store.find(kind, object_id)
        following = next_step(self._store, after, self._settings()) if after else None
        if following == step:
            raise RuntimeError(f"The step did not change what {object_id} does next: {step}")
        if after is not None:
            self._schedule(after)

    def _stop_clock(self, clock: Json, status: str, frozen_time: int) -> None:
        self.advancing.pop(clock["id"], None)
        work = self._begin(frozen_time)
        changes = {"frozen_time": frozen_time, "status": status, "status_details": {}}
        work.update(clock, changes, f"{clocks.KIND}.{status}")
        self._commit(work)
