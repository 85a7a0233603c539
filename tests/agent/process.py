"""A process of the real agent in RPC mode: JSON lines in, responses and events out."""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any, Self

from tests.agent.install import Agent
from tests.agent.mock_model import MockModel
from tests.agent.sandbox import Sandbox

Record = dict[str, Any]
TIMEOUT = 90.0  # several agents at once on a busy machine


class AgentError(RuntimeError):
    """The agent refused a command, ended or did not answer in time."""


class AgentProcess:
    """Context manager for one agent process; `records` holds all that it wrote on stdout."""

    sandbox: Sandbox

    def __init__(self, agent: Agent, model: MockModel, sandbox: Sandbox | None = None, *args: str) -> None:
        """Take what to run and its model; without a sandbox it makes its own. `args` are for pi."""
        self._agent = agent
        self._args = args
        self._cleanup = contextlib.ExitStack()
        self._owned = None if sandbox else Sandbox(model.base_url, model.api_key)
        self.sandbox = sandbox or self._owned
        self.records: list[Record] = []
        self._news = threading.Condition()
        self._ids = itertools.count(1)
        self._ended = False

    def __enter__(self) -> Self:
        if self._owned:
            self._cleanup.enter_context(self._owned)
        try:
            self._start()
            self.request("get_state")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with self._cleanup:
            if hasattr(self, "_process"):
                self._stop()

    def request(self, command: str, /, timeout: float = TIMEOUT, **fields: Any) -> Any:
        """Send a command and return the `data` of its response; AgentError when it failed."""
        ident = self.send(command, **fields)
        response = self.wait(lambda r: r.get("type") == "response" and r.get("id") == ident, timeout=timeout)
        if not response.get("success"):
            raise AgentError(f"{command}: {response.get('error')}")
        return response.get("data")

    def send(self, command: str, /, **fields: Any) -> str:
        """Send a command without waiting; return the id that its response will carry."""
        ident = f"c{next(self._ids)}"
        line = json.dumps({"id": ident, "type": command, **fields}) + "\n"
        try:
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()
        except OSError as broken:
            raise AgentError(f"{command}: the agent has ended\n{self.stderr()}") from broken
        return ident

    def mark(self) -> int:
        """Where the records end now; for `wait(since=...)`."""
        with self._news:
            return len(self.records)

    def wait(self, wanted: Callable[[Record], Any], since: int = 0, timeout: float = TIMEOUT) -> Record:
        """Return the first record after `since` that is wanted; AgentError after `timeout` seconds."""
        found = self._first(wanted, since, timeout)
        if found is None:
            why = "ended" if self._ended else f"said nothing wanted in {timeout:.0f} s"
            raise AgentError(f"the agent {why}\n{self.stderr()}")
        return found

    def arrives(self, wanted: Callable[[Record], Any], since: int, timeout: float) -> bool:
        """Say whether a wanted record comes within `timeout` seconds; AgentError when the agent ends."""
        if self._first(wanted, since, timeout) is not None:
            return True
        if self._ended:
            raise AgentError(f"the agent ended\n{self.stderr()}")
        return False

    def _first(self, wanted: Callable[[Record], Any], since: int, timeout: float) -> Record | None:
        until = time.monotonic() + timeout
        with self._news:
            while True:
                for record in self.records[since:]:
                    if wanted(record):
                        return record
                since = len(self.records)
                if self._ended or not self._news.wait(until - time.monotonic()):
                    return None

    def wait_event(self, kind: str, since: int = 0, timeout: float = TIMEOUT) -> Record:
        """Return the first event of this type after `since`."""
        return self.wait(lambda record: record.get("type") == kind, since, timeout)

    def kill(self) -> None:
        """End the process at once, as a power cut does, and its tools with it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(timeout=5)

    def stderr(self) -> str:
        """The end of what the process wrote on stderr."""
        return self._stderr_path.read_text(errors="replace")[-4000:]

    def _start(self) -> None:
        box = self.sandbox
        self._stderr_path = box.root / "stderr.log"
        # A bare environment: no proxy, no real key and no setting of this machine gets in.
        environment = {
            "HOME": str(box.home),
            "PATH": f"{self._agent.node.parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "TMPDIR": str(box.scratch),
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "PI_OFFLINE": "1",
            "PI_TELEMETRY": "0",
        }
        command = [str(self._agent.node), str(self._agent.cli), "--mode", "rpc"]
        command += ["--provider", "mock", "--model", "mock-1", *self._args]
        with self._stderr_path.open("ab") as stderr:
            self._process = subprocess.Popen(
                command,
                cwd=box.cwd,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout:
            with contextlib.suppress(ValueError), self._news:
                self.records.append(json.loads(line))
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def _stop(self) -> None:
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            # The whole process group: a tool's child would keep stdout open.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(timeout=5)
        self._reader.join(timeout=5)
        self._process.stdout.close()
