"""The documents name what is there: tests that exist, and every difference that the tests know of."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.e2e.differences import KNOWN_DIFFERENCES
from tests.integration.test_parity import DIFFERENT

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "docs" / name for name in ("fidelity.md", "guarantees.md")]
FIDELITY = ROOT / "docs" / "fidelity.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_test_that_a_document_names_exists(document):
    named = NAMED.findall(document.read_text(encoding="utf-8"))
    assert named
    for path, test in named:
        source = (ROOT / path).read_text(encoding="utf-8")
        assert not test or f"def {test}(" in source, f"{path}::{test}"


def test_the_differences_of_inputs_are_those_that_the_tests_know():
    rows = [f"| {each.name} | {each.why} |" for each in KNOWN_DIFFERENCES]
    assert _table("request") == rows


def test_the_differences_to_the_extension_are_those_that_the_tests_know():
    assert _table("extension") == [f"| `{name}` | {why} |" for name, why in DIFFERENT.items()]


def _table(heading: str) -> list[str]:
    """The rows of the table under the heading that holds a word."""
    sections = FIDELITY.read_text(encoding="utf-8").split("\n## ")
    (section,) = [each for each in sections if heading in each.splitlines()[0]]
    return [line for line in section.splitlines() if line.startswith("| ")][2:]
