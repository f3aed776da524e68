"""No source file is so long that it can hardly be one thing."""

from tests.support.documents import ROOT

LONGEST = 300  # lines
FOLDERS = ("gateway", "handlers", "schemas", "tests")


def test_no_file_is_longer_than_300_lines() -> None:
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 1000
    assert {str(path): lines for path in files if (lines := len(path.read_text().splitlines())) > LONGEST} == {}
