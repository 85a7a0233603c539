"""A command at a terminal that is asked questions."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Mapping

import pytest

from tests.command import Command

TIMEOUT_S = 60


def answer(
    command: Command, *arguments: object, answers: Mapping[str, str], **environment: str
) -> tuple[int, str]:
    """Run a command at a terminal, and answer each question once it is asked.

    Args:
        command: whose command it is.
        arguments: its arguments.
        answers: what to answer, by a text that the question holds, in the order of the questions.
        environment: more variables.

    Returns:
        The exit code, and all that it wrote, its lines joined by blanks.
    """
    pty = pytest.importorskip("pty", reason="this platform has no pseudo terminals")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "importer", *map(str, arguments)],
        env=command.environment(TERM="xterm-256color", COLUMNS="100", **environment),
        cwd=command.home,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    written, waiting = b"", list(answers.items())
    deadline_s = time.monotonic() + TIMEOUT_S
    try:
        while time.monotonic() < deadline_s:
            has_ended = process.poll() is not None
            while select.select([ours], [], [], 0.05)[0]:
                try:
                    written += os.read(ours, 65536)
                except OSError:  # Linux: the other side is closed
                    break
            if waiting and waiting[0][0].encode() in written:
                os.write(ours, f"{waiting.pop(0)[1]}\n".encode())
            if has_ended:
                break
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    text = re.sub(r"\s+", " ", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.decode("utf-8", "replace")))
    assert "Traceback" not in text, text
    assert not waiting, f"never asked {waiting}: {text}"
    return process.returncode, text
