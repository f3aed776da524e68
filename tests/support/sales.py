"""Sends inquiries to sales and stands in for the system that receives them."""

import base64
import threading
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text

from gateway.db.models import SalesInquiry
from tests.support.world import World

SECRET = f"whsec_{base64.b64encode(b'a secret that only these tests know').decode()}"
FORM = {"name": "Ada", "email": "ada@example.test", "company": "Ada GmbH", "message": "Enterprise?\r\nSoon, please."}


@dataclass
class SalesReceiver:
    """Sales' own system. It keeps each request and responds with the statuses in ``answers``, then with 200."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    unblocked: threading.Event = field(default_factory=threading.Event)
    blocking: bool = False

    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.requests]


def send_inquiry(world: World, organization_id: str = "org_1", **changes: Any) -> str:
    answer = world.api(organization_id).ok("POST", "/sales-inquiries", **{**FORM, **changes})
    return str(answer["id"])


def only_inquiry(world: World) -> SalesInquiry:
    [inquiry] = world.rows(SalesInquiry)
    return inquiry


def let_time_pass(world: World) -> None:
    """Make every scheduled job due now."""
    with world.gateway.database.transaction() as session:
        session.execute(text("UPDATE procrastinate_jobs SET scheduled_at = now()"))
