"""Reads the links, headings, code spans and shell commands in the repository's documents."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE_SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
LINK = re.compile(r"\[(?:[^\[\]`]|`[^`]*`)*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
SUBSTITUTION = re.compile(r"\$\(([^()]+)\)")
ASSIGNMENT = re.compile(r"\A\w+=")


@dataclass(frozen=True)
class Document:
    """One Markdown file."""

    path: Path

    @cached_property
    def text(self) -> str:
        """Return the whole text."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def prose(self) -> str:
        """Return the text outside fenced blocks."""
        return FENCE.sub("", self.text)

    def fences(self, language: str) -> list[str]:
        """Return the fenced blocks of one language."""
        return [block for name, block in FENCE.findall(self.text) if name == language]

    def code_spans(self, besides: re.Pattern[str] | None = None) -> list[str]:
        """Return each code span on one line. Remove text that matches ``besides`` first."""
        prose = besides.sub("", self.prose) if besides is not None else self.prose
        return [" ".join(span.split()) for span in CODE_SPAN.findall(prose)]

    def links(self) -> list[str]:
        """Return the target of every link."""
        return LINK.findall(self.prose)

    def anchors(self) -> set[str]:
        """Return the anchors that GitHub derives from the headings."""
        return {slug(heading) for heading in HEADING.findall(self.prose)}

    def section(self, title: str) -> str:
        """Return the text between a second-level heading and the next one."""
        return self.text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]

    def commands(self) -> Iterator[list[str]]:
        """Yield the words of each command in shell blocks and code spans, without leading variable assignments."""
        lines = [line for block in self.fences("sh") for line in block.replace("\\\n", " ").splitlines()]
        lines += [inner for line in lines for inner in SUBSTITUTION.findall(line)]
        for line in (*lines, *self.code_spans()):
            try:
                words = shlex.split(line, comments=True)
            except ValueError:  # the code span is not shell
                continue
            while words and ASSIGNMENT.match(words[0]):
                words.pop(0)
            if words:
                yield words


def slug(heading: str) -> str:
    """Return the anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def table_rows(text: str) -> list[list[str]]:
    """Return the cells of every table row, without header and separator rows."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    rules = {number for number, cells in enumerate(rows) if set("".join(cells)) == {"-"}}
    return [cells for number, cells in enumerate(rows) if number not in rules and number + 1 not in rules]


DOCUMENTS = [
    Document(path)
    for path in (
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "CHANGELOG.md",
        *sorted((ROOT / "docs").glob("*.md")),
        ROOT / "gateway/sandbox/README.md",
        ROOT / "tests/faults/README.md",
    )
]


def document(name: str) -> Document:
    """Return the document at a path of the repository."""
    return next(each for each in DOCUMENTS if each.path == ROOT / name)


def name_of(each: Document) -> str:
    """Return the path of a document, as the id of its tests."""
    return str(each.path.relative_to(ROOT))
