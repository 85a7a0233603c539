"""The live view in a real terminal."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys

import pytest

from tests.posthog_server import Fault, PostHogServer
from tests.session_writer import SessionWriter, text, tool_call
from tests.watching import NEVER_S, eventually, ids, recently

pty = pytest.importorskip("pty", reason="this platform has no pseudo terminals")
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\].*?\x07")


class Terminal:
    """A watcher in a terminal of 110 columns, and what it wrote."""

    def __init__(self, command, server, *arguments, **environment):
        ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "importer", "watch", *map(str, arguments)],
            env=command.environment(
                TERM="xterm-256color", COLUMNS="110", LINES="40", **command.destination(server), **environment
            ),
            cwd=command.home,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        self._descriptor = ours
        self._written = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self._descriptor)

    @property
    def written(self):
        """The text written so far, without escape sequences."""
        while select.select([self._descriptor], [], [], 0)[0]:
            try:
                data = os.read(self._descriptor, 65536)
            except OSError:  # Linux: the other side is closed
                break
            if not data:
                break
            self._written += data
        return _ESCAPES.sub("", self._written.decode(errors="replace"))

    def press_ctrl_c(self):
        self.process.send_signal(2)
        eventually(lambda: self.written is not None and self.process.poll() is not None, "its end")
        return self.process.returncode


def story_in(folder):
    story = SessionWriter(folder / "s.jsonl", start=recently(seconds=20), cwd="/home/dev/shop")
    story.user("fix the basket, my secret")
    story.assistant(tool_call("c", "bash", {}), stop="toolUse")
    return story


@pytest.mark.parametrize("private", [False, True])
def test_the_live_view_shows_session_totals_and_delivery(command, tmp_path, private):
    with PostHogServer() as server:
        privacy = ["--privacy-mode"] if private else []
        with Terminal(command, server, tmp_path / "sessions", "--settle", NEVER_S, *privacy) as terminal:
            eventually(lambda: "no session is active" in terminal.written, "the empty view")
            story = story_in(tmp_path / "sessions")
            eventually(lambda: "shop" in terminal.written, "the session")
            story.result("c", "bash", text("ok"))
            eventually(lambda: len(ids(server)) == 2, "its events")
            eventually(lambda: "2 delivered · 0 waiting · last" in terminal.written, "the delivery")
            assert ("fix the basket" in terminal.written) is not private
            assert ("secret" in terminal.written) is not private
            for shown in ("mock-1", "bash", "120", "today"):
                assert shown in terminal.written
            story.raw(b"broken\n")
            eventually(lambda: "not JSON, line skipped" in terminal.written, "the warning")
            assert terminal.press_ctrl_c() == 0
            assert "Traceback" not in terminal.written


def test_the_live_view_shows_the_error_and_the_next_try(command, tmp_path):
    with PostHogServer() as server:
        server.faults = [Fault(503, {"Retry-After": "30"})]
        story_in(tmp_path / "sessions")
        with Terminal(command, server, tmp_path / "sessions", "--settle", NEVER_S) as terminal:
            eventually(lambda: "answered 503; next try in" in terminal.written, "the error")
            assert "0 delivered · 1 waiting" in terminal.written
            assert terminal.press_ctrl_c() == 0
            assert "1 event is not delivered yet" in terminal.written
