"""Stories about what a model is sent where that is not plain: no samples, only for comparing contexts."""

import base64
import json
from pathlib import Path

from tests.agent.mock_model import Step, Tool
from tests.agent.rpc import PiAgent
from tests.agent.stage import Stage, bash, read, tiny_png
from tests.agent.stories import Story

MEDDLER = Path(__file__).with_name("meddler.js")


def crash(stage: Stage) -> None:
    """The agent is killed while two tools run; the user's own command comes before the next prompt."""
    with stage.run() as pi:
        stage.model.then(Step("both", tools=(bash("echo one; sleep 2"), bash("echo two; sleep 2"))))
        since = pi.start_prompt("run both")
        pi.wait_event("tool_execution_start", since)
        path = pi.session_file()
        pi.kill()
    with stage.run("--session", str(path)) as pi:
        pi.bash("echo what happened")
        pi.bash("true")
        stage.model.then(Step("a crash happened", prompt=200))
        pi.prompt("what happened?")
        stage.note(pi)


def detour(stage: Stage) -> None:
    """The agent is killed while a tool runs; the user goes back to where it was, with a summary."""
    with stage.run() as pi:
        stage.model.then(Step("waiting", tools=(bash("sleep 2"),)))
        since = pi.start_prompt("wait")
        pi.wait_event("tool_execution_start", since)
        path = pi.session_file()
        waiting = json.loads(path.read_bytes().splitlines()[-1])["id"]
        pi.kill()
    with stage.run("--session", str(path)) as pi:
        stage.model.then(Step("a detour", prompt=200))
        pi.prompt("go on")
        pi.navigate(waiting, summarize=True)
        stage.model.then(Step("back from the detour", prompt=250))
        pi.prompt("and again")
        stage.note(pi)


def blind(stage: Stage) -> None:
    """Images in the history of a model that cannot see."""
    png = tiny_png()
    stage.write("logo.png", png)
    data = base64.b64encode(png).decode()
    with stage.run() as pi:
        stage.model.then(Step("looking", tools=(read("logo.png"),)), Step("the same", prompt=800))
        pi.prompt("compare them", images=[{"type": "image", "data": data, "mimeType": "image/png"}])
        pi.set_model("mock-blind")
        stage.model.then(Step("I cannot tell", prompt=850))
        pi.prompt("what do you see?")
        stage.note(pi)


def rewind(stage: Stage) -> None:
    """Back to before a compaction, on from there, and another compaction there."""
    with stage.run() as pi:
        for number, answer in enumerate(("one", "two", "three " * 60)):
            stage.model.then(Step(answer, prompt=100 * (number + 1)))
            pi.prompt(f"count, please: {number}")
        prompts = [message["entryId"] for message in pi.get_fork_messages()]
        pi.compact()
        stage.model.then(Step("four", prompt=300))
        pi.prompt("and on")
        pi.navigate(prompts[2])
        stage.model.then(Step("three again " * 60, prompt=200))
        pi.prompt("from the third one")
        stage.model.then(Step("four again " * 60, prompt=400))
        pi.prompt("and on from there")
        pi.compact()
        stage.model.then(Step("at the end", prompt=200))
        pi.prompt("where are we?")
        stage.note(pi)


def notes(stage: Stage) -> None:
    """An extension's messages: before, in the middle of and after a run; with an image; a silent tool."""
    stage.extend(MEDDLER)
    image = {"type": "image", "data": base64.b64encode(tiny_png()).decode(), "mimeType": "image/png"}
    with stage.run() as pi:
        _note(pi, "typed while idle", {"triggerTurn": False})
        _note(pi, [{"type": "text", "text": "with an image"}, image], {"deliverAs": "nextTurn"})
        stage.model.then(
            Step("working", tools=(bash("sleep 1.2"), Tool("silent", {}))), Step("noted", prompt=200)
        )
        since = pi.start_prompt("work")
        pi.wait_event("tool_execution_start", since)
        _note(pi, "while it works", {"deliverAs": "steer"})
        pi.wait_idle(since)
        stage.model.then(Step("woken up", prompt=300))
        since = pi.mark()
        _note(pi, "wake up", {"triggerTurn": True})
        pi.wait_idle(since)
        stage.model.then(Step("bye", prompt=350))
        pi.prompt("bye")
        stage.note(pi)


def edits(stage: Stage) -> None:
    """An extension replaces a tool result and an answer, leaves one out, and brings it back."""
    stage.extend(MEDDLER)
    with stage.run() as pi:
        stage.model.then(Step("REPLACE the result", tools=(bash("seq 50"),)), Step("counted", prompt=200))
        pi.prompt("count")
        stage.model.then(Step("OMIT this answer", prompt=250))
        pi.prompt("say something")
        stage.model.then(Step("REPLACE this answer", prompt=300))
        pi.prompt("say something else")
        stage.model.then(Step("RESTORE the omitted one", prompt=320))
        pi.prompt("bring it back")
        stage.model.then(Step("done", prompt=350))
        pi.prompt("thanks")
        stage.note(pi)


def hooks(stage: Stage) -> None:
    """An extension changes what is sent, for one request only: pi records nothing of it."""
    stage.extend(MEDDLER)
    with stage.run() as pi:
        stage.model.then(Step("as you say"))
        pi.prompt("HOOK this prompt")
        stage.model.then(Step("quite so", prompt=200))
        pi.prompt("and not this one")
        stage.note(pi)


def update(stage: Stage) -> None:
    """A model that takes system messages in the middle; the tools change between two processes."""
    with stage.run() as pi:
        pi.set_model("mock-updated")
        stage.model.then(Step("see you later"))
        pi.prompt("before the break")
        path = pi.session_file()
    with stage.run("--session", str(path), "--model", "mock-updated", "--tools", "read,bash") as pi:
        stage.model.then(Step("welcome back", prompt=150))
        pi.prompt("after the break")
        stage.note(pi)


def _note(pi: PiAgent, content: object, options: dict[str, object]) -> None:
    pi.request("prompt", message="/note " + json.dumps({"content": content, "options": options}))


CORNERS: dict[str, Story] = {
    story.__name__: story for story in (crash, detour, blind, rewind, notes, edits, hooks, update)
}
# What these are about came after 0.73.1.
NOT_TOLD = {("0.73.1", "edits"), ("0.73.1", "update")}


def corners_of(version: str) -> list[str]:
    """Return the names of the corner stories that this version of the agent can tell."""
    return [name for name in CORNERS if (version, name) not in NOT_TOLD]
