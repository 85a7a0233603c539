"""What is a FIFO or a device by the time it is opened holds nothing up."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from importer.files import open_file, open_to_read
from tests.command import finish
from tests.histories import wait_until
from tests.session_writer import SessionWriter

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX files")


@pytest.fixture(params=["fifo", "device", "link to a device", "folder"])
def no_file(request, tmp_path):
    """Return a function that puts something in a file's place."""

    def replace(path: Path) -> None:
        path.unlink(missing_ok=True)
        if request.param == "fifo":
            os.mkfifo(path)
        elif request.param == "folder":
            path.mkdir()
        elif request.param == "device":
            try:
                os.mknod(path, 0o666 | 0o020000, os.makedev(1, 5))
            except PermissionError:
                pytest.skip("only root makes devices")
        else:
            path.symlink_to("/dev/zero")

    return replace


def test_only_a_regular_file_is_opened(tmp_path, no_file):
    no_file(tmp_path / "x")
    for opening in (open_file, open_to_read):
        with pytest.raises(OSError):
            opening(tmp_path / "x")


def test_a_followed_session_that_is_replaced_holds_up_neither_the_others_nor_the_end(
    command, server, tmp_path, no_file
):
    folder = tmp_path / "sessions"
    first, second = SessionWriter(folder / "a.jsonl", "a"), SessionWriter(folder / "b.jsonl", "b")
    first.turn("one", "two")
    second.turn("three", "four")
    process = command.start(
        "watch", folder, "--backfill", "--settle", "0", "--poll", **command.destination(server)
    )
    wait_until(lambda: len(server.accepted) == 6, process)
    no_file(first.path)
    second.turn("five", "six")
    wait_until(lambda: len(server.accepted) == 9, process)
    process.send_signal(signal.SIGTERM)
    done = finish(process)
    assert (done.code, "Traceback" in done.err) == (0, False)


@pytest.mark.parametrize("options", [(), ("--poll",)])
def test_a_session_that_is_named_by_a_link_is_followed(command, server, tmp_path, options):
    real = SessionWriter(tmp_path / "real" / "s.jsonl")
    real.turn("one", "two")
    link = tmp_path / "link.jsonl"
    link.symlink_to(real.path)
    process = command.start(
        "watch", link, "--backfill", "--settle", "0", *options, **command.destination(server)
    )
    wait_until(lambda: len(server.accepted) == 3, process)
    real.turn("three", "four")
    wait_until(lambda: len(server.accepted) == 6, process)
    process.send_signal(signal.SIGTERM)
    assert finish(process).code == 0


@pytest.mark.parametrize("options", [(), ("--poll",)])
def test_a_followed_session_that_becomes_a_link_to_one_elsewhere_is_not_sent(
    command, server, tmp_path, options
):
    folder, elsewhere = tmp_path / "sessions", SessionWriter(tmp_path / "elsewhere" / "s.jsonl", "private")
    elsewhere.turn("not for PostHog", "y")
    first, second = SessionWriter(folder / "a.jsonl", "a"), SessionWriter(folder / "b.jsonl", "b")
    first.turn("one", "two")
    second.turn("three", "four")
    process = command.start(
        "watch", folder, "--backfill", "--settle", "0", *options, **command.destination(server)
    )
    wait_until(lambda: len(server.accepted) == 6, process)
    (tmp_path / "link").symlink_to(elsewhere.path)
    (tmp_path / "link").rename(first.path)
    second.turn("five", "six")
    wait_until(lambda: len(server.accepted) == 9, process)
    elsewhere.turn("nor is this", "y")
    second.turn("seven", "eight")
    wait_until(lambda: len(server.accepted) == 12, process)
    process.send_signal(signal.SIGTERM)
    assert finish(process).code == 0
    assert len(server.accepted) == 12
    assert "not for PostHog" not in str(server.accepted)


@pytest.mark.parametrize(
    "place", [".pi/agent/posthog.json", ".pi/agent/models.json", ".pi/agent/settings.json"]
)
def test_settings_that_are_no_file_hold_up_no_command(command, tmp_path, no_file, place):
    SessionWriter(tmp_path / "sessions" / "s.jsonl").turn("x", "y")
    path = command.home / place
    path.parent.mkdir(parents=True, exist_ok=True)
    no_file(path)
    for arguments in (["preview"], ["doctor", "--json"]):
        done = command(*arguments, tmp_path / "sessions")
        assert done.code in (0, 1, 2)
        assert "Traceback" not in done.err
