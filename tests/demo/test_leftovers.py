"""The next demo ends what a killed demo has left behind, and says what stands in its way."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway.demo.postgres import embedded_postgres
from gateway.demo.processes import Child, DemoError, end_leftovers, only_demo_in
from tests.support.processes import await_port, free_port


def test_process_of_a_killed_demo_is_ended_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    left = Child("sandbox", ["sandbox", f"--port={port}"], {}, tmp_path)
    await_port(port)
    assert left.ending() is None
    end_leftovers(tmp_path)
    assert left.ending() is not None
    assert "Ending sandbox (process" in capsys.readouterr().out
    end_leftovers(tmp_path)
    assert capsys.readouterr().out == ""


def test_full_disk_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=5 << 20))
    with pytest.raises(DemoError, match=r"has 5 MB left.*Free some space.*--data-dir"), embedded_postgres(tmp_path):
        pytest.fail("PostgreSQL was started.")


def test_killed_demo_does_not_keep_postgresql_running(tmp_path: Path) -> None:
    directory, running = tmp_path / "postgres", tmp_path / "postgres" / "postmaster.pid"
    with embedded_postgres(directory):
        assert running.exists()
    (directory / ".handle_pids.json").write_text(f"[{os.getppid()}]")  # a user that never leaves
    with embedded_postgres(directory):
        assert running.exists()
    assert not running.exists()


def test_directory_of_another_user_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "open", refuse)  # root may open everything
    with pytest.raises(DemoError, match=r"belongs to another user.* `sudo rm -r"), only_demo_in(tmp_path):
        pytest.fail("The directory was opened.")
