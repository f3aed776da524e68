"""Every link, path and function that a document names exists."""

import ast
import re
from pathlib import Path

import pytest

from tests.support.documents import DOCUMENTS, ROOT, Document, name_of

FOLDERS = ("gateway", "handlers", "schemas", "tests", "docs", ".ci")
EXTENSIONS = {".py", ".md", ".toml", ".json", ".lock", ".html", ".mako"}
PATH = re.compile(r"\A[\w.\-/*]+\Z")
PATH_AS_TEXT = re.compile(r"\[`([^`]+)`\]\(([^)#\s]+)[^)\s]*\)")
FUNCTIONS = re.compile(r"\]\(([^)\s]+\.py)\) ((?:`[\w.]+`(?:, )?)+)")
FILE_NAMES = {each.name for folder in FOLDERS for each in (ROOT / folder).rglob("*.*")}


def looks_like_a_path(word: str) -> bool:
    first, slash, _ = word.partition("/")
    return PATH.match(word) is not None and (
        (bool(slash) and first in FOLDERS) or (Path(word).suffix in EXTENSIONS and not word.startswith((".", "/")))
    )


def exists(word: str, folder: Path) -> bool:
    if "*" in word:
        return any(ROOT.glob(word))
    return word in FILE_NAMES or (ROOT / word).exists() or (folder / word).exists()


def defined_names(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{each.name}" for each in node.body if isinstance(each, ast.FunctionDef)}
    return names


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_lead_to_files_and_headings(document: Document) -> None:
    missing = []
    for link in document.links():
        if link.startswith(("https://", "http://")):
            continue
        target, _, anchor = link.partition("#")
        path = document.path.parent / target if target else document.path
        if not path.exists() or (anchor and anchor not in Document(path).anchors()):
            missing.append(link)
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_named_paths_exist(document: Document) -> None:
    words = [
        *document.code_spans(besides=PATH_AS_TEXT),
        *(word.strip(";,") for block in document.fences("text") for word in block.split()),
    ]
    named = [word for word in words if looks_like_a_path(word)]
    assert [word for word in named if not exists(word, document.path.parent)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_a_path_that_is_the_text_of_a_link_is_its_target(document: Document) -> None:
    pairs = [(text, target) for text, target in PATH_AS_TEXT.findall(document.prose) if looks_like_a_path(text)]
    assert [text for text, target in pairs if not f"/{target}".endswith(f"/{text}")] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_functions_named_after_a_file_are_defined_in_it(document: Document) -> None:
    missing = []
    for target, names in FUNCTIONS.findall(document.prose):
        defined = defined_names(document.path.parent / target)
        missing += [f"{target} {name}" for name in re.findall(r"`([\w.]+)`", names) if name not in defined]
    assert missing == []
