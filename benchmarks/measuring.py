"""Run commands in processes of their own; measure their seconds and the memory of all their processes.

Memory is read from /proc, so it needs Linux.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SAMPLE_S = 0.02  # between two looks at the memory
_JSON_LOADS = """
import json, pathlib, sys
for path in sorted(pathlib.Path(sys.argv[1]).rglob("*.jsonl")):
    with open(path, "rb") as file:
        for line in file:
            json.loads(line)
"""


class FailedError(Exception):
    """A command failed while it was measured."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a command: its seconds, its peak memory in bytes (0: not measured), and its stdout."""

    seconds: float
    peak_bytes: int
    out: str

    @property
    def json(self) -> dict[str, Any]:
        """The JSON object on stdout."""
        return dict(json.loads(self.out))

    @property
    def peak_mb(self) -> float:
        """The peak memory in MB."""
        return self.peak_bytes / 1e6


class User:
    """A user whose home is empty at first: no cache, no state, no settings.

    Args:
        place: a folder that exists; the home is made in it.

    Example:
        >>> user = User(Path("/tmp"))
        >>> user.run("preview", "sample_sessions", "--json").seconds
        0.31
    """

    def __init__(self, place: Path) -> None:
        self._place = place
        self.home = place / "home"
        self.forget()

    def forget(self) -> None:
        """Make the home empty again."""
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir()

    def run(self, *arguments: object, with_memory: bool = False, **environment: str) -> Run:
        """Run pi2posthog with arguments; ``environment`` is added to the user's.

        Raises:
            FailedError: the exit code is not 0.
        """
        command = [sys.executable, "-m", "importer", *map(str, arguments)]
        return run_command(command, self._make_environment() | environment, with_memory=with_memory)

    def find_imports(self, *arguments: object) -> set[str]:
        """Find the names of the modules that a run of pi2posthog imports."""
        command = [sys.executable, "-X", "importtime", "-m", "importer", *map(str, arguments)]
        done = subprocess.run(  # noqa: S603
            command, env=self._make_environment(), cwd=ROOT, capture_output=True, text=True, check=True
        )
        lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
        return {line.rpartition("|")[2].strip() for line in lines}

    def _make_environment(self) -> dict[str, str]:
        home = str(self.home)
        own = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
        own |= {"HOME": home, "LC_ALL": "C.UTF-8", "NO_PROXY": "*", "PYTHONPATH": str(ROOT)}
        own["POSTHOG_CONTENT_DAYS"] = "all"  # the corpus is older than that
        places = {"XDG_CACHE_HOME": ".cache", "XDG_STATE_HOME": ".state", "PI_CODING_AGENT_DIR": ".pi/agent"}
        places |= {"XDG_CONFIG_HOME": ".config", "XDG_DATA_HOME": ".data"}
        return own | {name: f"{home}/{place}" for name, place in places.items()}


def run_command(command: Sequence[str], environment: dict[str, str], *, with_memory: bool = False) -> Run:
    """Run a command to its end. Watching its memory slows it down a little.

    Raises:
        FailedError: the exit code is not 0.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        peak = 0
        began_s = time.perf_counter()
        with subprocess.Popen(  # noqa: S603
            command, env=environment, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=err
        ) as process:
            while with_memory and process.poll() is None:
                peak = max(peak, sum(map(read_memory, find_processes(process.pid))))
                time.sleep(SAMPLE_S)
            process.wait()
        seconds = time.perf_counter() - began_s
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    if process.returncode:
        raise FailedError(f"{' '.join(command[1:4])} ended with {process.returncode}: {texts[1][-400:]}")
    return Run(seconds, peak, texts[0])


def time_json_loads(folder: Path) -> float:
    """Time a process that does nothing but `json.loads` with every line of a corpus, in seconds."""
    return run_command([sys.executable, "-c", _JSON_LOADS, str(folder)], dict(os.environ)).seconds


def find_processes(pid: int) -> Iterator[int]:
    """Find the ids of a process and of all its descendants that are alive."""
    yield pid
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split():
                yield from find_processes(int(child))
    except OSError:
        return  # the process has ended


def read_memory(pid: int) -> int:
    """Read the memory of a process in bytes: its part of shared pages (PSS), or all of them (RSS)."""
    for name, field in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        try:
            text = Path(f"/proc/{pid}/{name}").read_text()
        except OSError:
            continue
        for line in text.splitlines():
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    return 0


def read_status_mb(pid: int, field: str) -> float:
    """Read a field of a process's status in MiB: ``"VmRSS"`` is its memory, ``"VmHWM"`` the peak of it."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field + ":")) / 1024
