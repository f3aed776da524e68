"""The README shows what the demo prints."""

import ast
import re

import pytest

from tests.support.documents import ROOT, document

TITLE = re.compile(r"^\d+\. (.+)$", re.MULTILINE)
CHECK = re.compile(r"^  ✓ (.+)$", re.MULTILINE)


def printed_patterns(method: str) -> list[str]:
    """Return a pattern for each text that the story passes to a method of the stage."""
    tree = ast.parse((ROOT / "gateway/demo/story.py").read_text(encoding="utf-8"))
    calls = [each for each in ast.walk(tree) if isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute)]
    calls = [each for each in calls if isinstance(each.func, ast.Attribute) and each.func.attr == method]
    return [pattern_of(text) for call in calls for text in (*call.args, *(each.value for each in call.keywords))]


def pattern_of(text: ast.expr) -> str:
    """Return a pattern in which an inserted value may be anything."""
    parts = text.values if isinstance(text, ast.JoinedStr) else [text]
    return "".join(re.escape(str(each.value)) if isinstance(each, ast.Constant) else ".+" for each in parts)


@pytest.mark.parametrize(
    ("line", "methods"), [(TITLE, ["step"]), (CHECK, ["check", "follow"])], ids=["titles", "checks"]
)
def test_the_quoted_lines_are_printed_by_the_story(line: re.Pattern[str], methods: list[str]) -> None:
    [quoted] = [block for block in document("README.md").fences("text") if "✓" in block]
    patterns = [each for method in methods for each in printed_patterns(method) if each != ".+"]
    shown = line.findall(quoted)
    assert shown
    assert [each for each in shown if not any(re.fullmatch(pattern, each) for pattern in patterns)] == []
