"""The interface changes only together with its committed documents."""

import os

from gateway.services.webhooks import endpoint_check
from handlers import HANDLERS
from tests.support.interface import documents
from tests.support.world import World


def test_the_interface_is_the_committed_one(world: World) -> None:
    endpoint_check.check_endpoint(world.gateway, HANDLERS.keys())  # its metric appears only after a check
    for path, text in documents(world.gateway, world.client).items():
        if "REWRITE_INTERFACE" in os.environ:
            path.write_text(text, encoding="utf-8")
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is outdated. Run `make interface`."
