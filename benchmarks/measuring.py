"""Runs a command in a process of its own: how long it takes, and how much memory all its processes have.

Needs Linux for the memory (it reads /proc).
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
SAMPLE_S = 0.02
_REFERENCE = """
import json, pathlib, sys
for path in sorted(pathlib.Path(sys.argv[1]).rglob("*.jsonl")):
    with open(path, "rb") as file:
        for line in file:
            json.loads(line)
"""


class FailedError(Exception):
    """A command that was to be measured did not do what it is for."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a command: seconds from start to end, bytes of memory at most (0: not asked for), stdout."""

    seconds: float
    peak_bytes: int
    out: str

    @property
    def json(self) -> dict[str, Any]:
        """The JSON object on stdout."""
        return dict(json.loads(self.out))

    @property
    def peak_mb(self) -> float:
        """The memory in MB."""
        return self.peak_bytes / 1e6


class User:
    """Someone whose home is an empty folder at first: no cache, no state, no settings."""

    def __init__(self, place: Path) -> None:
        """Make the home in a folder that is there."""
        self._place = place
        self.home = place / "home"
        self.forget()

    def forget(self) -> None:
        """Make the home empty again."""
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir()

    def run(self, *arguments: object, with_memory: bool = False, **environment: str) -> Run:
        """Run pi2posthog.

        Raises:
            FailedError: its exit code is not 0.
        """
        command = [sys.executable, "-m", "importer", *map(str, arguments)]
        return measure(command, self._environment() | environment, with_memory=with_memory)

    def imports(self, *arguments: object) -> set[str]:
        """The modules, without those in packages, that a run of pi2posthog imports."""
        command = [sys.executable, "-X", "importtime", "-m", "importer", *map(str, arguments)]
        done = subprocess.run(  # noqa: S603
            command, env=self._environment(), cwd=ROOT, capture_output=True, text=True, check=True
        )
        lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
        return {line.rpartition("|")[2].strip() for line in lines}

    def _environment(self) -> dict[str, str]:
        home = str(self.home)
        own = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
        own |= {"HOME": home, "LC_ALL": "C.UTF-8", "NO_PROXY": "*", "PYTHONPATH": str(ROOT)}
        places = {"XDG_CACHE_HOME": ".cache", "XDG_STATE_HOME": ".state", "PI_CODING_AGENT_DIR": ".pi/agent"}
        places |= {"XDG_CONFIG_HOME": ".config", "XDG_DATA_HOME": ".data"}
        return own | {name: f"{home}/{place}" for name, place in places.items()}


def measure(command: Sequence[str], environment: dict[str, str], *, with_memory: bool = False) -> Run:
    """Run a command to its end; watching its memory costs it a little time.

    Raises:
        FailedError: its exit code is not 0.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        peak = 0
        began_s = time.perf_counter()
        with subprocess.Popen(  # noqa: S603
            command, env=environment, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=err
        ) as process:
            while with_memory and process.poll() is None:
                peak = max(peak, sum(map(memory, tree(process.pid))))
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


def reference(folder: Path) -> float:
    """Seconds of a process that does nothing but `json.loads` with every line of a corpus."""
    return measure([sys.executable, "-c", _REFERENCE, str(folder)], dict(os.environ)).seconds


def tree(pid: int) -> Iterator[int]:
    """A process and all that it started, as far as they are there."""
    yield pid
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split():
                yield from tree(int(child))
    except OSError:
        return  # it has ended


def memory(pid: int) -> int:
    """Bytes of memory of a process, shared ones in parts (PSS); where that is not told, all of them (RSS)."""
    for name, field in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        try:
            text = Path(f"/proc/{pid}/{name}").read_text()
        except OSError:
            continue
        for line in text.splitlines():
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    return 0
