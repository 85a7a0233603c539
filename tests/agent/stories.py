"""The sample sessions: one story each, told to the real agent."""

import base64
import time
from collections.abc import Callable
from pathlib import Path

from tests.agent.mock_model import Step, Tool
from tests.agent.rpc import PiAgent
from tests.agent.stage import Stage, bash, read, tiny_png

EXPERT = Path(__file__).with_name("expert.js")


def tools(stage: Stage) -> None:
    """A parallel batch with a failing tool, a sequential loop, thinking, cached tokens."""
    stage.write("notes.txt", "alpha\nbeta\n")
    with stage.run() as pi:
        stage.model.then(
            Step(
                "let me look",
                tools=(bash("ls; sleep 0.3", api_key="sk-live-123"), read("missing.txt")),
                prompt=500,
                completion=40,
                cached=100,
            ),
            Step(
                "reading", tools=(read("notes.txt"),), prompt=900, completion=12, cached=500, cache_write=300
            ),
            Step("and once more", tools=(bash("wc -l notes.txt"),), prompt=1000, completion=15, cached=800),
            Step("two lines: alpha, beta", thinking="the file holds two lines", completion=30, reasoning=9),
        )
        pi.prompt("list the files, please")
        stage.model.then(Step("you are welcome", prompt=1100, cached=1000))
        pi.prompt("thank you")
        stage.note(pi)


def fork(stage: Stage) -> None:
    """A fork from the second prompt and a clone; both make calls of their own."""
    stage.write("notes.txt", "alpha\n")
    with stage.run() as pi:
        stage.model.then(Step("reading", tools=(read("notes.txt"),)), Step("one line", prompt=300))
        pi.prompt("read the notes")
        stage.model.then(Step("it is called alpha", prompt=400))
        pi.prompt("what does it say?")
        parent = stage.note(pi)
        pi.fork(pi.get_fork_messages()[1]["entryId"])
        stage.model.then(
            Step("counting", tools=(bash("wc -c notes.txt"),), prompt=500), Step("six", prompt=600)
        )
        pi.prompt("how long is it?")
        stage.note(pi)
        pi.switch_session(parent)
        pi.clone()
        stage.model.then(Step("the clone answers", prompt=700))
        pi.prompt("go on in a clone")
        stage.note(pi)


def branch(stage: Stage) -> None:
    """`/tree`: one branch left without a summary, one left with a summary."""
    with stage.run() as pi:
        stage.model.then(Step("a plan"))
        pi.prompt("make a plan")
        stage.model.then(
            Step("trying", tools=(bash("echo first way"),), prompt=200), Step("failed", prompt=250)
        )
        pi.prompt("try the first way")
        first = _user_entries(pi)[1]
        pi.navigate(first)
        stage.model.then(Step("the second way works", prompt=220))
        pi.prompt("try the second way")
        stage.model.then(Step("polished", prompt=260))
        pi.prompt("polish it")
        pi.navigate(_user_entries(pi)[0], summarize=True, label="start")
        stage.model.then(Step("the third way is best", prompt=280))
        pi.prompt("try the third way")
        stage.note(pi)


def compaction(stage: Stage) -> None:
    """A manual compaction, then more work."""
    stage.write("notes.txt", "alpha\nbeta\n" * 20)
    with stage.run() as pi:
        stage.model.then(Step("reading", tools=(read("notes.txt"),), prompt=1000), Step("long", prompt=1500))
        pi.prompt("read the notes")
        stage.model.then(Step("forty lines", prompt=1600, cached=1400))
        pi.prompt("how many lines?")
        pi.compact("keep the numbers")
        stage.model.then(Step("as I said: forty", prompt=400))
        pi.prompt("so how many?")
        stage.note(pi)


def overflow(stage: Stage) -> None:
    """The context is full: pi compacts by itself, after a run, and in the middle of one (then it goes on)."""
    long = "once upon a time " * 20
    full = "This model's maximum context length is 20000 tokens."
    with stage.run() as pi:
        stage.model.then(Step(long, prompt=1000, completion=100))
        pi.prompt("tell me a story")
        stage.model.then(Step(long, prompt=19000, completion=300))
        pi.prompt("tell me a longer story")
        stage.model.then(Step(long, prompt=500))
        pi.prompt("how does it end?")
        stage.model.then(Step(status=400, error=full), Step("an epilogue", prompt=450))
        pi.prompt("add an epilogue")
        stage.note(pi)


def abort(stage: Stage) -> None:
    """An aborted stream, an aborted tool, and a normal answer after them."""
    with stage.run() as pi:
        stage.model.then(Step("ready"))
        pi.prompt("are you there?")
        stage.model.then(Step("this answer never", hang=True))
        since = pi.start_prompt("tell me everything")
        pi.wait_event("message_update", since)
        time.sleep(0.2)
        pi.abort()
        pi.wait_idle(since)
        stage.model.then(Step("waiting", tools=(bash("echo started; sleep 30"), read("missing.txt"))))
        since = pi.start_prompt("wait for it")
        pi.wait_event("tool_execution_start", since)
        time.sleep(0.3)
        pi.abort()
        pi.wait_idle(since)
        stage.model.then(Step("fine again", prompt=300))
        pi.prompt("never mind")
        stage.note(pi)


def image(stage: Stage) -> None:
    """An image in a prompt, and one that a tool reads."""
    png = tiny_png()
    stage.write("logo.png", png)
    with stage.run() as pi:
        stage.model.then(Step("red and green", prompt=400))
        data = base64.b64encode(png).decode()
        pi.prompt("what is this?", images=[{"type": "image", "data": data, "mimeType": "image/png"}])
        stage.model.then(Step("looking", tools=(read("logo.png"),), prompt=450), Step("the same", prompt=800))
        pi.prompt("and logo.png?")
        stage.note(pi)


def resume(stage: Stage) -> None:
    """A session that a second process goes on with, with fewer tools."""
    with stage.run() as pi:
        stage.model.then(Step("see you later"))
        pi.prompt("before the break")
        path = pi.session_file()
    with stage.run("--session", str(path), "--tools", "read,bash") as pi:
        stage.model.then(Step("welcome back", prompt=150, cached=100))
        pi.prompt("after the break")
        stage.note(pi)


def queue(stage: Stage) -> None:
    """A steering message and a follow-up, typed while the agent works."""
    with stage.run() as pi:
        stage.model.then(
            Step("working", tools=(bash("sleep 1"),)),
            Step("in capitals then", prompt=200),
            Step("and the follow-up", prompt=300),
        )
        since = pi.start_prompt("write a title")
        pi.wait_event("tool_execution_start", since)
        pi.steer("in capitals")
        pi.follow_up("and a subtitle")
        pi.wait_idle(since)
        stage.model.then(Step("bye", prompt=350))
        pi.prompt("that is all")
        stage.note(pi)


def retry(stage: Stage) -> None:
    """A provider that is overloaded twice and then answers; then one that refuses."""
    with stage.run() as pi:
        busy = Step(status=503, error="overloaded")
        stage.model.then(busy, busy, Step("at last"))
        pi.prompt("hello?")
        stage.model.then(Step(status=400, error="no such deployment"))
        pi.prompt("and this?")
        stage.model.then(Step("cut", finish="length", prompt=120))
        pi.prompt("be brief")
        stage.note(pi)


def leftover(stage: Stage) -> None:
    """An abort while messages are queued and the user's own command waits: they come later."""
    with stage.run() as pi:
        stage.model.then(
            Step("working", tools=(bash("sleep 1.2"),)), Step("first", prompt=200), Step("second", prompt=250)
        )
        since = pi.start_prompt("start")
        pi.wait_event("tool_execution_start", since)
        pi.steer("steer one")
        pi.steer("steer two")
        pi.bash("echo while it runs")
        pi.wait_idle(since)
        stage.model.then(Step("working again", tools=(bash("sleep 5"),), prompt=300))
        since = pi.start_prompt("go on")
        pi.wait_event("tool_execution_start", since)
        pi.follow_up("left in the queue")
        pi.abort()
        pi.wait_idle(since)
        stage.model.then(Step("here I am", prompt=400), Step("that too", prompt=450))
        pi.prompt("are you there?")
        stage.note(pi)


def extension(stage: Stage) -> None:
    """What an extension adds: a tool that calls a model itself, state, a message, an entry at each prompt."""
    stage.extend(EXPERT)
    with stage.run() as pi:
        stage.model.then(
            Step("asking", tools=(Tool("ask_expert", {"question": "why?"}),)),
            Step("because, says the expert", prompt=250),
        )
        pi.prompt("ask the expert")
        pi.request("prompt", message="/remember the answer is 42")
        stage.model.then(Step("forty-two", prompt=300))
        pi.prompt("what was the answer?")
        stage.note(pi)


def warm(stage: Stage) -> None:
    """A tool that runs so long that pi keeps the prompt cache warm meanwhile."""
    with stage.run() as pi:
        pi.set_model("mock-warm")
        # The one in the middle answers the warming call.
        stage.model.then(
            Step("this takes long", tools=(bash("sleep 1.4"),), prompt=5000, cache_write=4000),
            Step("ok", prompt=5000, completion=1, cached=4900),
            Step("done", prompt=5100, cached=4900),
        )
        pi.prompt("do the long thing")
        stage.note(pi)


def switch(stage: Stage) -> None:
    """The user's own commands, another model, other thinking levels, a session name."""
    with stage.run() as pi:
        stage.model.then(Step("hello"))
        pi.prompt("hello")
        pi.bash("echo from-the-user")
        pi.bash("echo private; exit 3", excludeFromContext=True)
        pi.set_session_name("the shop")
        pi.set_model("mock-2")
        pi.set_thinking_level("high")
        stage.model.then(Step("the other model", thinking="hm", prompt=300, completion=50, reasoning=5))
        pi.prompt("and now the other model")
        pi.set_model("mock-1")
        pi.set_thinking_level("off")
        stage.model.then(Step("back again", prompt=400, cached=250))
        pi.prompt("back to the first")
        stage.note(pi)


def _user_entries(pi: PiAgent) -> list[str]:
    return [message["entryId"] for message in pi.get_fork_messages()]


Story = Callable[[Stage], None]
STORIES: dict[str, Story] = {
    story.__name__: story
    for story in (
        tools,
        fork,
        branch,
        compaction,
        overflow,
        abort,
        image,
        resume,
        queue,
        leftover,
        retry,
        switch,
        extension,
        warm,
    )
}
# Cache warming came after 0.73.1.
NOT_TOLD = {("0.73.1", "warm")}


def stories_of(version: str) -> list[str]:
    """Return the names of the stories that this version of the agent can tell."""
    return [name for name in STORIES if (version, name) not in NOT_TOLD]
