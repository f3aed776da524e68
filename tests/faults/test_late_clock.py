"""The clock of the worker's machine is ten minutes behind."""

import os
from pathlib import Path

import pytest

from tests.faults.burst import Burst
from tests.faults.merged import assert_merged_once, one_event_each, pending
from tests.support.deployment import Deployment
from tests.support.processes import running
from tests.support.wait import eventually

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
in_ci = os.environ.get("CI") == "true"


@pytest.mark.long
@pytest.mark.skipif(not LIBRARIES and not in_ci, reason="libfaketime is not installed (apt-get install faketime)")
def test_worker_with_a_late_clock_merges_in_time(own: Deployment) -> None:
    deliveries = one_event_each(own, 200)
    own.serve()
    late = {"LD_PRELOAD": str(LIBRARIES[0]), "FAKETIME": "-600s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    with running(["-m", "gateway", "worker"], {**own.environment, **late}, own.logs / "worker.log"):
        with Burst(own.port, deliveries) as burst:
            burst.finish()
        eventually(lambda: pending(own) == 0)
        eventually(lambda: "gateway_worker_clocks_wrong 1.0" in own.metrics())
        assert "is 600 seconds behind the database's" in own.command("doctor").stdout
    assert_merged_once(own, deliveries)
