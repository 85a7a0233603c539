"""What ``--json`` prints is safe to look at in a terminal, and means what it did."""

from __future__ import annotations

import json
import unicodedata

import pytest

from tests.session_writer import SessionWriter

HIDDEN = {
    "override": "\u202e",
    "zero width": "\u200b",
    "isolate": "\u2066",
    "byte order mark": "\ufeff",
    "escape": "\x1b",
    "C1": "\x9b",
    "tag": "\U000e0041",
}
COMMANDS = [
    ("preview", "--by", "session"),
    ("preview", "--by", "project"),
    ("preview", "--by", "model"),
    ("backfill", "--by", "session"),
    ("backfill", "--by", "model", "--dry-run"),
    ("status",),
    ("doctor",),
]


def texts(value):
    """Yield every text in a JSON value, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_no_character_that_a_terminal_obeys_or_hides_is_printed(command, server, tmp_path, arguments):
    odd = "a" + "".join(HIDDEN.values()) + "z"
    folder = tmp_path / odd.replace("\x1b", "")
    story = SessionWriter(folder / "s.jsonl", cwd=f"/work/{odd}")
    story.entry("session_info", name=f"session {odd}")
    story.turn("prompt", "answer", model=f"model-{odd}")

    done = command(
        *arguments, folder, "--json", "--state", folder / "ledger.db", **command.destination(server)
    )

    assert {c for c in done.out if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp")} <= {"\n"}
    found = list(texts(json.loads(done.out)))
    if arguments[0] in ("preview", "backfill"):
        by = arguments[arguments.index("--by") + 1]
        wanted = {"session": f"session {odd}", "project": odd, "model": f"model-{odd}"}[by]
        assert any(wanted in text for text in found), found
    elif arguments[0] == "status":
        assert str(folder / "ledger.db") in found
