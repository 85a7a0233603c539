"""A ledger under a second name is the same ledger: one lock, one log, one file to set aside."""

from __future__ import annotations

import json
import os
import sys

import pytest

from importer.ledger.ledger import Ledger
from tests.command import SAMPLES
from tests.histories import started, wait_until, write_history
from tests.posthog_server import Fault

ONE = SAMPLES / "0.87.1" / "tools"
NEW = ("--input-context", "new", "--parallel", "1")
needs_links = pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")


@pytest.fixture
def ledger(tmp_path):
    """The path of a ledger that is not there yet, in a folder of its own."""
    (tmp_path / "real").mkdir()
    return tmp_path / "real" / "l.db"


@pytest.fixture
def link(tmp_path, ledger):
    """A link to a link to the ledger, in another folder."""
    (tmp_path / "names").mkdir()
    (tmp_path / "between.db").symlink_to(ledger)
    (tmp_path / "names" / "other.db").symlink_to("../between.db")
    return tmp_path / "names" / "other.db"


@needs_links
@pytest.mark.parametrize("first_by_link", [True, False])
def test_a_ledger_and_a_link_to_it_exclude_each_other(command, server, tmp_path, ledger, link, first_by_link):
    history = write_history(tmp_path / "history", 2, 200)
    first, second = (link, ledger) if first_by_link else (ledger, link)
    server.faults = [Fault(delay_s=1.5)]
    process = started(command, server, history, *NEW, "--state", first)
    wait_until(lambda: len(server.requests) == 1, process)
    for name in ("backfill", "watch"):
        done = command(name, history, "--state", second, "--beside-extension", **command.destination(server))
        assert done.code == 2
        assert f"{ledger} is in use by process {process.pid}" in done.error_lines[-1]
    state = command("status", history, "--state", second, "--json").json
    assert (state["running"], state["pid"]) == (True, process.pid)
    process.communicate(timeout=60)
    assert process.returncode == 0
    again = command.send(server, history, *NEW, "--state", second, "--json")
    assert again.json["delivered"] == 0
    assert server.duplicates == 0
    assert sorted(path.name for path in link.parent.iterdir()) == ["other.db"]


@needs_links
@pytest.mark.parametrize("name", ["backfill", "watch", "preview", "status", "doctor"])
def test_a_ledger_with_a_hard_link_is_refused_under_both_names(command, server, tmp_path, ledger, name):
    assert command.send(server, ONE, "--state", ledger).code == 0
    other = tmp_path / "other.db"
    os.link(ledger, other)
    sent = len(server.requests)
    for path in (ledger, other):
        done = command(name, ONE, "--state", path, **command.destination(server))
        assert done.code == (1 if name == "doctor" else 2), done.err
        text = " ".join((done.out + done.err).split())
        assert "second name (a hard link)" in text
    assert not (tmp_path / "other.db.lock").exists()
    if name != "doctor":
        assert len(server.requests) == sent


@needs_links
def test_a_damaged_ledger_behind_a_link_is_set_aside_and_the_link_stays(command, server, ledger, link):
    ledger.write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    assert command.send(server, ONE, "--state", link, "--yes").code == 0
    assert link.is_symlink()
    assert [path.name for path in ledger.parent.glob("*.corrupt-*")] != []
    assert command.send(server, ONE, "--state", ledger, "--json").json["delivered"] == 0


@needs_links
def test_links_that_lead_in_a_circle_are_one_line(command, server, tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    done = command.send(server, ONE, "--state", tmp_path / "a")
    assert done.code in (1, 2)
    assert len(done.error_lines) == 1


@needs_links
def test_preview_and_doctor_look_beside_the_file_that_a_link_leads_to(command, server, ledger, link):
    """What a writer has delivered stands in the log (`-wal`) beside the file until it ends."""
    options = ("--state", link, "--json", *NEW[:2])
    environment = command.destination(server)
    events = command("preview", ONE, *options, **environment).json["events"]
    written = command("backfill", ONE, "--output", "-", *NEW[:2]).out.splitlines()
    with Ledger.open(ledger) as writer:
        destination = writer.destination_id(server.url, "phc_test")
        assert command("preview", ONE, *options, **environment).json["already_delivered"] == 0
        assert command("preview", ONE, *options, **environment).json["already_delivered"] == 0, "kept"
        writer.record(destination, [json.loads(line)["uuid"] for line in written], 1_790_000_000_000)
        assert command("preview", ONE, *options, **environment).json["already_delivered"] == events
        checks = command("doctor", ONE, "--state", link, "--json", **environment).json["checks"]
        (file,) = (check for check in checks if (check["section"], check["name"]) == ("ledger", "file"))
        log = ledger.with_name(ledger.name + "-wal")
        assert file["data"]["bytes"] == ledger.stat().st_size + log.stat().st_size > ledger.stat().st_size
