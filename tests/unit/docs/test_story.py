"""The README shows what the demo prints."""

import ast
import re

from tests.support.documents import ROOT, document

STORY_LINE = re.compile(r"^(?:\d+\. |  ✓ ).+$", re.MULTILINE)


def printed_patterns() -> list[str]:
    """Return a pattern for each text of the story. An inserted value may be anything."""
    tree = ast.parse((ROOT / "gateway/demo/story.py").read_text(encoding="utf-8"))
    constants = [re.escape(each.value) for each in ast.walk(tree) if is_text(each)]
    return constants + [pattern_of(each) for each in ast.walk(tree) if isinstance(each, ast.JoinedStr)]


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def pattern_of(text: ast.JoinedStr) -> str:
    return "".join(re.escape(str(each.value)) if isinstance(each, ast.Constant) else ".+" for each in text.values)


def test_the_quoted_lines_are_printed_by_the_story() -> None:
    [quoted] = [block for block in document("README.md").fences("text") if "✓" in block]
    shown = [line.removeprefix("  ✓ ") for line in STORY_LINE.findall(quoted)]
    patterns = printed_patterns()
    assert shown
    assert [line for line in shown if not any(re.fullmatch(pattern, line) for pattern in patterns)] == []
