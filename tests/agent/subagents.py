"""Stories about subagents, with the published extensions that give them sessions of their own."""

import json
import shutil
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.agent.install import AgentInstallError, _lock, _run_npm, cache_folder
from tests.agent.mock_model import SCRIPT_ENDED, MockModel, Step, Tool
from tests.agent.sandbox import COST, OTHER_COST, Sandbox
from tests.agent.stage import Stage, bash

PI_ON_PATH = Path(__file__).with_name("pi_on_path.js")
PRICES = {"mock-1": COST, "mock-2": OTHER_COST}
# The oldest pi whose packages these extensions can import.
AGENT_VERSION = "0.87.1"
WAKE_TIMEOUT = 60.0

Call = tuple[str, int, int]


@dataclass(frozen=True)
class Extension:
    """A published extension: its npm package, and the exact version."""

    package: str
    version: str

    def install(self) -> Path:
        """Return the folder of the installed package, after installing it if it is not in the cache."""
        cache = cache_folder()
        cache.mkdir(parents=True, exist_ok=True)
        name = f"{self.package.strip('@').replace('/', '-')}-{self.version}"
        target, package = cache / name, cache / name / "node_modules" / self.package
        with _lock(cache / f"{name}.lock"):
            if not package.exists():
                self._install_into(cache / f"{name}.new", target)
        return package

    def _install_into(self, scratch: Path, target: Path) -> None:
        npm = shutil.which("npm")
        if npm is None:
            raise AgentInstallError("the tests that drive the real agent need npm on PATH")
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        # pi gives its extensions the packages that they name as peers.
        _run_npm(npm, ["--legacy-peer-deps", f"{self.package}@{self.version}"], scratch)
        shutil.rmtree(target, ignore_errors=True)
        (scratch / "tree").rename(target)
        scratch.rmdir()


OLD = Extension("pi-subagents", "0.34.0")
NEW = Extension("pi-subagents", "0.67.0")
OTHER = Extension("@tintinweb/pi-subagents", "0.14.1")


@dataclass(frozen=True)
class Part:
    """Who makes a call: an agent's name (None: the one that the user talks to), and what started it.

    `asked_by` are the input tokens of the answer that called the tool, `task` what it passed on.
    """

    agent: str | None
    asked_by: int | None
    task: str


@dataclass
class Cast(MockModel):
    """A model that plays several agents at once: what it answers depends on the last prompt in a request.

    `served` counts the answers by model and tokens, `parts` says who asked for them, `spent_usd` is what
    they cost at the prices of the sandbox.
    """

    served: Counter[Call] = field(default_factory=Counter)
    parts: dict[Call, Part] = field(default_factory=dict)
    spent_usd: float = 0.0
    _lines: dict[Part, deque[Step]] = field(default_factory=dict)

    def when(self, prompt: str, *steps: Step, agent: str | None = None, asked_by: int | None = None) -> None:
        """Give the answers for requests whose last prompt holds this text; `agent` is who asks."""
        self._lines[Part(agent, asked_by, prompt)] = deque(steps)

    def left(self) -> list[str]:
        """The prompts whose answers were not all asked for."""
        return [part.task for part, steps in self._lines.items() if steps]

    def _answer(self, body: dict[str, Any]) -> tuple[int, Step]:
        with self._lock:
            self.requests.append(body)
            last = json.dumps([m["content"] for m in body["messages"] if m["role"] == "user"][-1])
            for part, steps in self._lines.items():
                if part.task in last and steps:
                    return len(self.requests), self._serve(body["model"], part, steps.popleft())
            return len(self.requests), Step(status=400, error=SCRIPT_ENDED)

    def _serve(self, model: str, part: Part, step: Step) -> Step:
        call = (model, step.prompt, step.completion)
        self.served[call] += 1
        self.parts[call] = part
        price = PRICES[model]
        self.spent_usd += (step.prompt * price["input"] + step.completion * price["output"]) / 1e6
        return step


@dataclass
class Company:
    """A stage whose agent has an extension for subagents, and two agents to call: a helper and a boss."""

    extension: Extension
    model: Cast
    stage: Stage

    @property
    def sandbox(self) -> Sandbox:
        return self.stage.sandbox

    def prepare(self) -> None:
        """Install the extension into the agent's home, and what it needs there."""
        home = self.sandbox.home
        settings = home / ".pi" / "agent" / "settings.json"
        added = {"packages": [str(self.extension.install())]}
        settings.write_text(json.dumps(json.loads(settings.read_text()) | added))
        agents = home / ".pi" / "agent" / "agents"
        agents.mkdir()
        for name, more in {"helper": "", "boss": "tools: read, bash, subagent\n"}.items():
            # `persist_session` is the other extension's: without it, it writes no session.
            head = f"name: {name}\ndescription: a {name}\nmodel: mock/mock-2\n{more}persist_session: true\n"
            (agents / f"{name}.md").write_text(f"---\n{head}---\nYou are a {name}.\n")
        shim = home / "bin" / "pi"
        shim.parent.mkdir()
        shim.write_text(f'#!/bin/sh\nexec "{self.stage.agent.node}" "{self.stage.agent.cli}" "$@"\n')
        shim.chmod(0o755)
        self.stage.extend(PI_ON_PATH)


def old(company: Company) -> None:
    """0.34.0: two in parallel share a run's folder, a chain, a fork beside its parent."""
    model = company.model
    model.when("parallel", _asks(301, tasks=[_task("count apples"), _task("count pears")]), _says(302))
    model.when("count apples", _says(303), agent="helper", asked_by=301)
    model.when("count pears", _says(304), agent="helper", asked_by=301)
    model.when("chained", _asks(305, chain=[_task("weigh one"), _task("weigh two")]), _says(306))
    model.when("weigh one", _says(307), agent="helper", asked_by=305)
    model.when("weigh two", _says(308), agent="helper", asked_by=305)
    model.when("forked", _asks(309, **_task("peel it"), context="fork"), _says(310))
    model.when("peel it", _says(311), agent="helper", asked_by=309)
    with company.stage.run() as pi:
        for prompt in ("parallel", "chained", "forked"):
            pi.prompt(prompt, timeout=WAKE_TIMEOUT)
        company.stage.note(pi)


def new(company: Company) -> None:
    """0.67.0: one that uses a tool, a fork, one in another, one in the background that wakes its parent."""
    model = company.model
    model.when("single", _asks(401, **_task("count apples")), _says(402))
    model.when("count apples", _uses(403, bash("echo 3")), _says(404), agent="helper", asked_by=401)
    model.when("forked", _asks(405, **_task("peel it"), context="fork"), _says(406))
    model.when("peel it", _says(407), agent="helper", asked_by=405)
    model.when("nested", _asks(408, **_task("lead on", "boss")), _says(409))
    model.when("lead on", _asks(410, **_task("weigh one")), _says(411), agent="boss", asked_by=408)
    model.when("weigh one", _says(412), agent="helper", asked_by=410)
    model.when("later", _asks(413, **_task("weigh two"), background=True), _says(414))
    model.when("weigh two", _says(415), agent="helper", asked_by=413)
    model.when("Background task completed", _says(416))
    with company.stage.run() as pi:
        for prompt in ("single", "forked", "nested", "later"):
            pi.prompt(prompt, timeout=WAKE_TIMEOUT)
        pi.wait_idle(pi.mark(), WAKE_TIMEOUT)
        company.stage.note(pi)


def other(company: Company) -> None:
    """The other extension: two calls in one batch, whose sessions lie beside their parent's and name none."""
    model = company.model
    model.when("delegate", _uses(501, _agent("count apples"), _agent("count pears")), _says(502))
    model.when("count apples", _uses(503, bash("echo 3")), _says(504), agent="helper", asked_by=501)
    model.when("count pears", _says(505), agent="helper", asked_by=501)
    with company.stage.run() as pi:
        pi.prompt("delegate", timeout=WAKE_TIMEOUT)
        company.stage.note(pi)


# Every answer counts other tokens, so that a call can be told from all others.
def _says(tokens: int) -> Step:
    return Step(f"answer {tokens}", prompt=tokens)


def _uses(tokens: int, *tools: Tool) -> Step:
    return Step(f"answer {tokens}", tools=tools, prompt=tokens)


def _asks(tokens: int, *, background: bool = False, **arguments: Any) -> Step:
    return _uses(tokens, Tool("subagent", {**arguments, "async": background}))


def _task(task: str, agent: str = "helper") -> dict[str, str]:
    return {"agent": agent, "task": task}


def _agent(prompt: str) -> Tool:
    return Tool("Agent", {"subagent_type": "helper", "description": prompt, "prompt": prompt})


SUBAGENT_STORIES: dict[str, tuple[Extension, Callable[[Company], None]]] = {
    "old": (OLD, old),
    "new": (NEW, new),
    "other": (OTHER, other),
}
