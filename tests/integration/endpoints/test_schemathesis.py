"""The gateway answers as its OpenAPI document says, whether a request is valid or not."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.auth import SCOPES
from gateway.db.models import Invoice
from gateway.sandbox.server import Server
from tests.support.api import ApiClient
from tests.support.documented import close
from tests.support.world import World

ROOT = Path(__file__).parents[3]
ALL_SCOPES = (*SCOPES, "plans:read", "usage:write")
CONFIG = Path(__file__).with_name("schemathesis.toml")


@pytest.fixture
def url(world: World) -> Iterator[str]:
    """Serve the gateway, and yield its address."""
    server = Server(world.client.application)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()  # the thread closes the server


@pytest.mark.parametrize("examples", [2, pytest.param(300, marks=pytest.mark.long)])
def test_every_answer_is_documented(world: World, url: str, api: ApiClient, tmp_path: Path, examples: int) -> None:
    spare = api.add_card(world.stripe)
    api.add_card(world.stripe)
    change = api.ok("PATCH", "/subscription", plan="plus")
    world.settle()
    ids = {"CHANGE_ID": change["id"], "CARD_ID": spare, "INVOICE_ID": world.rows(Invoice)[0].id}
    document = world.client.get("/v1/openapi.json").get_json()
    (tmp_path / "openapi.json").write_text(json.dumps(close(document)))
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run", "openapi.json"]
    found = subprocess.run(
        [*command, "--url", url, "--max-examples", str(examples), "--no-color"],
        env=os.environ | ids | {"GATEWAY_TOKEN": world.token(scopes=ALL_SCOPES), "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert found.returncode == 0, found.stdout
