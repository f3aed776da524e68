"""The page's texts exist in each language, and the page uses each of them."""

import json
import re
from functools import cache

import pytest

from gateway.pages.billing import FILES

TEXTS = FILES / "texts"
LANGUAGES = sorted(path.stem for path in TEXTS.glob("*.json"))
PLURAL = re.compile(r"\.(?:one|other)\Z")
# Texts for the catalogue's own words. A word without a text is shown as the catalogue has it.
WORDS = ("feature", "limit", "meter", "per", "plan", "unit", "units")
# Words of the interface, from which the page builds the key of a text.
BUILT = (
    "actor",
    "billed",
    "details",
    "estimate",
    "fault",
    "interval",
    "intervals",
    "invoice",
    "nav",
    "payment_problem",
    "place",
    "problem",
    "quote",
    "reason",
    "standing",
    "switch",
)


@cache
def texts(language: str) -> dict[str, str]:
    found: dict[str, str] = json.loads((TEXTS / f"{language}.json").read_text(encoding="utf-8"))
    return found


@cache
def scripts() -> str:
    return "".join(path.read_text(encoding="utf-8") for path in sorted(FILES.rglob("*.js")))


def test_languages_are_those_that_the_page_chooses_from() -> None:
    [listed] = re.findall(r"LANGUAGES = (\[.*\])", scripts())
    assert sorted(json.loads(listed)) == LANGUAGES


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_has_the_same_texts(language: str) -> None:
    keys = {key for key in texts("en") if not key.startswith("plan.")}
    assert {key for key in texts(language) if not key.startswith("plan.")} == keys


@pytest.mark.parametrize("language", LANGUAGES)
def test_translation_has_the_same_placeholders(language: str) -> None:
    pattern = re.compile(r"\{\w+\}")
    wrong = {
        key: text
        for key, text in texts(language).items()
        if key in texts("en") and sorted(pattern.findall(text)) != sorted(pattern.findall(texts("en")[key]))
    }
    assert wrong == {}


def test_page_uses_only_texts_that_exist() -> None:
    bases = {PLURAL.sub("", key) for key in texts("en")}
    used = set(re.findall(r"\bt\(\"([^\"]+)\"", scripts()))
    assert used
    assert used <= bases


def test_each_text_is_used() -> None:
    named = set(re.findall(r"\"([a-z_]+(?:\.[a-z_]+)*)\"", scripts()))
    bases = {PLURAL.sub("", key) for key in texts("en")}
    assert {key for key in bases - named if key.partition(".")[0] not in {*WORDS, *BUILT}} == set()
