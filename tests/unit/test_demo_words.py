"""The shell lines that the demo prints."""

import subprocess
from pathlib import Path

from gateway.app import build_gateway
from gateway.demo.stage import Stage
from gateway.demo.story import what_to_try
from tests.support.config import config


def test_printed_file_is_read_in_a_folder_with_a_space(tmp_path: Path) -> None:
    environment = tmp_path / "a folder" / "environment"
    environment.parent.mkdir()
    environment.write_text("SEEN=yes\n")
    stage = Stage(build_gateway(config()), "http://127.0.0.1:1", "org_1", [])
    words = what_to_try(stage, "http://127.0.0.1:2/metrics", environment, tmp_path)
    [line] = [each.strip() for each in words.splitlines() if each.startswith("  . ")]
    script = f"{line}\necho $SEEN"
    assert subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True).stdout == "yes\n"
