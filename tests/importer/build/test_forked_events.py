"""A call that a fork copied is its parent's, whichever file it is read from."""

from pathlib import Path

import pytest

from importer.deliver.backfill import Backfill
from importer.plan.plan import make_plan
from importer.sessions.discovery import find_sessions
from importer.settings import Settings

LATER_MS = 4_000_000_000_000
FORKS = sorted(Path("sample_sessions").glob("*/fork"))


def envelopes(path: Path, tmp_path: Path) -> dict[bytes, bytes]:
    """Return the events of one file by their uuid, as `--output` writes them."""
    plan = make_plan(find_sessions([path]), Settings(), now_ms=LATER_MS, with_totals=True)
    output = tmp_path / f"{path.name}.events"
    Backfill(plan, Settings()).write(output)
    return {line.split(b'"uuid":"')[1][:36]: line for line in output.read_bytes().splitlines()}


@pytest.mark.parametrize("folder", FORKS, ids=lambda folder: folder.parent.name)
def test_a_copied_call_gives_its_parents_envelope(folder, tmp_path):
    parent, *children = sorted(folder.glob("*.jsonl"))
    original = envelopes(parent, tmp_path)
    assert len(children) == 2
    for child in children:
        events = envelopes(child, tmp_path)
        copied = events.keys() & original.keys()
        assert copied
        assert events.keys() - original.keys()
        assert {uuid: events[uuid] for uuid in copied} == {uuid: original[uuid] for uuid in copied}
        assert (tmp_path / f"{child.name}.events").stat().st_mode & 0o777 == 0o600
