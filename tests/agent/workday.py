"""A long script for one user: all that can happen to a session, and how much of it must arrive."""

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.agent.mock_model import Step
from tests.agent.rpc import PiAgent
from tests.agent.stage import Stage, bash, read

TOKENS = ("input", "output", "cacheRead", "cacheWrite")


@dataclass
class Meter:
    """What pi says was spent while the meter ran: copies in a fork, and what was there before, stay out."""

    tokens: Counter[str] = field(default_factory=Counter)
    cost: float = 0.0
    _start: dict[str, Any] = field(default_factory=dict)

    def start(self, pi: PiAgent) -> None:
        self._start = pi.get_session_stats()

    def stop(self, pi: PiAgent) -> None:
        now = pi.get_session_stats()
        for kind in TOKENS:
            self.tokens[kind] += now["tokens"][kind] - self._start["tokens"][kind]
        self.cost += now["cost"] - self._start["cost"]


class Workday:
    """Plays the script on a stage, in two processes; `done` counts what must come of it."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.meter = Meter()
        self.done: Counter[str] = Counter()
        self.summaries_cost = stage.agent.version != "0.73.1"
        self.session = Path()
        self.fork = Path()

    def morning(self) -> None:
        """Tools, a retry, own commands, aborts, a queue, another model, a compaction, a fork."""
        self.stage.write("notes.txt", "alpha\nbeta\n")
        with self.stage.run() as pi:
            self.meter.start(pi)
            self._tools(pi)
            self._retry(pi)
            self._own_commands(pi)
            self._aborts(pi)
            self._queue(pi)
            self._compaction(pi)
            self.session = pi.session_file()
            self.meter.stop(pi)
            self._fork(pi)

    def afternoon(self) -> None:
        """The first session, resumed in another process."""
        with self.stage.run("--session", str(self.session)) as pi:
            self.meter.start(pi)
            self._then(
                Step("back", tools=(read("notes.txt"),), prompt=610, cached=300), Step("ok", prompt=640)
            )
            pi.prompt("where were we?")
            self._count(generations=2, spans=1, traces=1)
            self.meter.stop(pi)
            self.stage.note(pi)
        assert not self.stage.model.script, "answers that were never asked for"

    def _tools(self, pi: PiAgent) -> None:
        self._then(
            Step("let me look", tools=(bash("ls; sleep 0.2"), read("missing.txt")), prompt=500, cached=100),
            Step("reading", tools=(read("notes.txt"),), prompt=900, cached=500, cache_write=300),
            Step("two lines", thinking="alpha, beta", prompt=950, completion=30, reasoning=9),
        )
        pi.prompt("what do the notes say?")
        self._count(generations=3, spans=3, traces=1)

    def _retry(self, pi: PiAgent) -> None:
        self._then(Step(status=503, error="overloaded"), Step("at last", prompt=1000))
        pi.prompt("are you there?")
        self._count(generations=2, traces=1)

    def _own_commands(self, pi: PiAgent) -> None:
        pi.bash("echo from-the-user")
        pi.bash("echo private; exit 3", excludeFromContext=True)
        self._count(spans=2)

    def _aborts(self, pi: PiAgent) -> None:
        self._then(Step("this answer never", hang=True))
        since = pi.start_prompt("tell me everything")
        pi.wait_event("message_update", since)
        time.sleep(0.2)
        pi.abort()
        pi.wait_idle(since)
        self._count(generations=1, traces=1)
        self._then(Step("waiting", tools=(bash("echo started; sleep 30"),), prompt=1050))
        since = pi.start_prompt("wait for it")
        pi.wait_event("tool_execution_start", since)
        time.sleep(0.2)
        pi.abort()
        pi.wait_idle(since)
        # The second answer is pi's own, empty: the model was not asked for it.
        self._count(generations=2, spans=1, traces=1)

    def _queue(self, pi: PiAgent) -> None:
        pi.set_model("mock-2")
        self._then(
            Step("working", tools=(bash("sleep 1"),), prompt=1100),
            Step("in capitals then", prompt=1150),
            Step("and the follow-up", prompt=1200),
        )
        since = pi.start_prompt("write a title")
        pi.wait_event("tool_execution_start", since)
        pi.steer("in capitals")
        pi.follow_up("and a subtitle")
        pi.wait_idle(since)
        self._count(generations=3, spans=1, traces=1)

    def _compaction(self, pi: PiAgent) -> None:
        if not self.summaries_cost:
            # 0.73.1 forgets what it compacted away: stop, and go on from what it remembers.
            self.meter.stop(pi)
        pi.compact("keep the title")
        self._count(**{"generations" if self.summaries_cost else "spans": 1})
        if not self.summaries_cost:
            self.meter.start(pi)
        self._then(Step("as I said", prompt=400))
        pi.prompt("what was the title?")
        self._count(generations=1, traces=1)

    def _fork(self, pi: PiAgent) -> None:
        pi.fork(pi.get_fork_messages()[-1]["entryId"])
        self.meter.start(pi)
        self._then(Step("counting", tools=(bash("wc -l notes.txt"),), prompt=410), Step("2", prompt=430))
        pi.prompt("how many notes?")
        self._count(generations=2, spans=1, traces=1)
        self.fork = pi.session_file()
        self.meter.stop(pi)
        self.stage.note(pi)

    def _then(self, *steps: Step) -> None:
        self.stage.model.then(*steps)

    def _count(self, **kinds: int) -> None:
        self.done.update({**kinds, "runs": kinds.get("traces", 0)})
