"""Sends inquiries to sales, and reads how their delivery went."""

from typing import Any

from gateway.db.models import Notification
from tests.support.world import World

FORM = {"name": "Ada", "email": "ada@example.test", "company": "Ada GmbH", "message": "Enterprise?\r\nSoon, please."}


def send_inquiry(world: World, organization_id: str = "org_1", **changes: Any) -> str:
    answer = world.api(organization_id).ok("POST", "/sales-inquiries", **{**FORM, **changes})
    return str(answer["id"])


def only_delivery(world: World) -> Notification:
    [notification] = world.rows(Notification)
    return notification
