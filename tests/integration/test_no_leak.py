"""Whatever PostHog answers: no command shows or leaves behind the key, or what a session says."""

from __future__ import annotations

import signal

import pytest

from tests.command import finish, tree
from tests.posthog_server import Fault, PostHogServer
from tests.session_writer import SessionWriter, text, thinking, tool_call
from tests.watching import NEVER_S, eventually, recently

KEY = "phc_MarkerKeyMarkerKeyMarkerKeyMarkerKey0123"
PLACES = ("prompt", "thinking", "answer", "argument", "output", "cwd")
PLACES += ("name", "error", "summary", "section", "bash", "damage")
WORDS = {name: f"marker-{name}-8472" for name in PLACES}


class Echo(PostHogServer):
    """Refuses every request in one way, and says in its answer what it was sent."""

    def __init__(self, failure):
        super().__init__(KEY)
        self.failure = failure
        self.refused = 0
        self.faults = self

    def __bool__(self):
        return True

    def pop(self, _):
        self.refused += 1
        if self.failure == "reset":
            return Fault(reset="before")
        told = f"{KEY} {' '.join(WORDS.values())}"
        bodies = {
            401: f'{{"type":"authentication_error","detail":"the key {KEY} is not valid, it sent {told}"}}',
            400: f'{{"error":"failed to parse {told}"}}',
            413: f"too large: {told}",
            500: f"<html><body><pre>{told}</pre></body></html>",
            302: "",
        }
        place = f"https://user:{KEY}@example.org/{KEY}?api_key={KEY}"
        headers = {"Location": place} if self.failure == 302 else {}
        return Fault(self.failure, headers, bodies[self.failure].encode())


def story(folder):
    """A session with a marker in each place where words of the user, the model or a tool can stand."""
    telling = SessionWriter(folder / "s.jsonl", start=recently(), cwd=f"/home/{WORDS['cwd']}")
    told = {"role": "system", "content": WORDS["section"], "sections": {WORDS["section"]: WORDS["section"]}}
    telling.entry("message", message=told)
    telling.entry("session_info", name=WORDS["name"])
    telling.user(f"{WORDS['prompt']} {KEY}")
    telling.assistant(
        thinking(WORDS["thinking"]),
        text(WORDS["answer"]),
        tool_call("c", "bash", {"command": WORDS["argument"], "key": KEY}),
        stop="toolUse",
    )
    telling.result("c", "bash", text(f"{WORDS['output']} {KEY}"), details={"out": WORDS["output"]})
    telling.assistant(text(WORDS["answer"]), stop="error", errorMessage=f"{WORDS['error']} {KEY}")
    telling.message("bashExecution", command=WORDS["bash"], output=WORDS["bash"], exitCode=1)
    telling.entry("compaction", summary=WORDS["summary"], firstKeptEntryId=telling.last, tokensBefore=1)
    telling.raw(f'{{"type":"message","{WORDS["damage"]} {KEY}\n'.encode())
    wrong = {"role": "system", "sections": {f"{WORDS['damage']} {KEY}": 1}}
    telling.line({"type": "message", "message": wrong})
    telling.turn(f"{WORDS['prompt']} again", "y", stopReason=[WORDS["damage"]])
    return telling.path


def left_by(*folders):
    """What all files hold that commands left there, and how they are called."""
    files = [folder / name for folder in folders for name in tree(folder)]
    return {str(path): path.read_bytes() + str(path).encode() for path in files if path.is_file()}


def leaks(written, markers):
    return sorted(marker for marker in markers if marker.encode() in written)


def given_up(process, server):
    """Wait until a command has tried twice, then end it as a user does; one that gave up has ended."""
    tried = server.refused + 2
    eventually(lambda: server.refused >= tried or process.poll() is not None, "two tries")
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    return finish(process)


@pytest.mark.parametrize("failure", [401, 400, 413, 500, 302, "reset"])
def test_no_command_repeats_the_key_or_what_a_session_says(command, tmp_path, failure):
    temporary, sessions = tmp_path / "tmp", tmp_path / "sessions"
    temporary.mkdir()
    story(sessions)
    secrets = [KEY, *WORDS.values()]
    with Echo(failure) as server:
        place = {**command.destination(server), "TMPDIR": str(temporary)}
        runs = [
            given_up(command.start("backfill", sessions, "--yes", **place), server),
            given_up(command.start("watch", sessions, "--settle", NEVER_S, "-v", **place), server),
            command("status", sessions, **place),
            command("status", sessions, "--json", **place),
            command("doctor", sessions, **place),
            command("doctor", sessions, "--send", "--json", **place),
        ]
        if failure not in (500, "reset"):  # what may pass, the one pass tries for long
            runs.append(given_up(command.start("watch", sessions, "--once", "-v", **place), server))
        assert server.refused >= 3
    left = left_by(command.home, temporary)
    for run in runs:
        assert leaks((run.out + run.err).encode(), secrets) == [], run.err
    assert [path for path, held in left.items() if leaks(held, secrets)] == []


def test_preview_shows_names_and_prompts_but_nothing_else(command, tmp_path):
    path = story(tmp_path / "sessions")
    hidden = [WORDS[name] for name in ("thinking", "answer", "argument", "output", "error", "damage")]
    for privacy, more in (((), []), (("--privacy-mode",), [WORDS["prompt"], WORDS["name"], KEY])):
        for arguments in ((), ("--json",)):
            shown = command("preview", path, *arguments, *privacy, POSTHOG_API_KEY=KEY)
            assert shown.code == 0
            assert leaks((shown.out + shown.err).encode(), hidden + more) == []
