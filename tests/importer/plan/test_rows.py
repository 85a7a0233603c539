from __future__ import annotations

import json

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from importer.plan.rows import AT_ONCE, Rows, json_parts

TEXTS = st.text() | st.sampled_from(['\n  "groups": [', "]\n", '"', "\\"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
ROWS = st.lists(st.dictionaries(TEXTS, VALUES, max_size=4), max_size=5)


def rows_of(rows):
    return Rows(range(len(rows)), lambda places: (rows[place] for place in places))


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(TEXTS, VALUES, max_size=4), ROWS, st.dictionaries(TEXTS, VALUES, max_size=4))
def test_the_text_is_that_of_the_same_with_lists(before, rows, after):
    figures = {**before, "groups": rows, **after}
    if figures["groups"] is not rows:
        return
    plain = msgspec.json.format(msgspec.json.encode(figures), indent=2)
    assert b"".join(json_parts({**figures, "groups": rows_of(rows)})) == plain


def test_very_many_rows_are_one_list():
    rows = [{"place": place, "inner": [{"a": []}, {}]} for place in range(3 * AT_ONCE + 1)]
    parts = list(json_parts({"groups": rows_of(rows), "count": len(rows)}))
    assert len(parts) > 4
    assert json.loads(b"".join(parts)) == {"groups": rows, "count": len(rows)}
    assert b"".join(parts) == msgspec.json.format(
        msgspec.json.encode({"groups": rows, "count": len(rows)}), indent=2
    )


def test_rows_are_made_when_they_are_asked_for_and_some_at_a_time():
    asked = []

    def make(places):
        asked.append(len(places))
        return ({"place": place} for place in places)

    rows = Rows(range(10, 10 + 2 * AT_ONCE + 5), make)
    assert len(rows) == 2 * AT_ONCE + 5
    assert not asked
    assert next(iter(rows)) == {"place": 10}
    assert asked == [AT_ONCE]
    assert [row["place"] for row in rows] == list(rows.keys)
    assert asked == [AT_ONCE, AT_ONCE, AT_ONCE, 5]
    assert {"place": 11} in rows
    assert {"place": 9} not in rows
