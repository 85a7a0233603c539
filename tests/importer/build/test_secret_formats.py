"""The gate lets every text through that a rule masks something of."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from importer.build import secret_formats

RULES = {"own": secret_formats._own(), "library": secret_formats._library()}
STARTS = (*secret_formats._OWN, *secret_formats._LIBRARY_PREFIXES, "A3T", "XOXB-1-", "1234567890:")
ALPHABETS = ("ab01", "AB01", "0123456789", "abAB01_-", "ab.", "ab/+=", "aé \\n-")


def words(alphabet: str) -> st.SearchStrategy[str]:
    return st.text(alphabet, max_size=24) | st.text(alphabet, min_size=30, max_size=100)


ANY_WORD = st.sampled_from(ALPHABETS).flatmap(words)
NEARLY = st.builds("".join, st.tuples(ANY_WORD, st.sampled_from(STARTS), ANY_WORD))
BETWEEN = st.sampled_from((" ", "", "\n", "\\n", '"', "'", ".", "/", "=", ":", "é", "\ud800", "\U0001f600"))


@st.composite
def tokens(draw: st.DrawFn) -> str:
    """Draw what one of the rules finds, often with a character changed, or cut off."""
    token = draw(st.from_regex(draw(st.sampled_from([*RULES.values()]))))
    at = draw(st.integers(0, len(token)))
    return (
        token[:at]
        + draw(st.sampled_from(("", "", " ", "a", "-", "Z")))
        + token[at + draw(st.integers(0, 1)) :]
    )


@settings(max_examples=400, deadline=None)
@given(st.lists(tokens() | NEARLY | BETWEEN | st.text(max_size=5), max_size=6).map("".join))
@example("SG. and XoXb-1-a")
@example("SG. and 12345678:" + "b" * 35)
@example("AKIA and A3TX" + "A" * 16)
@example("whsec_" + "+/" * 12)
def test_what_is_passed_over_holds_no_token(text):
    if not secret_formats._GATE.lets_through(text):
        assert not any(rule.search(text) for rule in RULES.values())


@pytest.mark.parametrize("name", RULES)
def test_every_alternative_of_a_rule_is_let_through(name):
    rule = RULES[name]

    @settings(max_examples=400, deadline=None)
    @given(st.from_regex(rule))
    def every(text):
        assert secret_formats._GATE.lets_through(text)

    every()


def test_most_of_code_and_prose_is_passed_over():
    text = "def total(items):\n    return sum(item.price for item in items)  # see https://example.com/a/b\n"
    assert not secret_formats._GATE.lets_through(text * 50)
    assert not secret_formats._GATE.lets_through("task-1 gh SK eyJ AKIA sk-")
