"""The doctor on the command line: what it finds well, ill and missing, and what it never shows or sends."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from email.utils import formatdate

import pytest

from importer.ledger.ledger import Ledger
from tests.command import SAMPLES, tree
from tests.posthog_server import Fault, PostHogServer, _Handler
from tests.session_writer import SessionWriter

KEY = "phc_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789"
EMPTY = Fault(status=400, body=b"request holds no event")  # what PostHog says before it looks at the key


class ProjectServer(PostHogServer):
    """A PostHog that also has the web SDK's configuration of its one project, and a clock of its own."""

    def __init__(self, *, skew_s: float = 0.0, known: bool = True) -> None:
        super().__init__(api_key=KEY)
        self.asked: list[str] = []
        outer = self

        class Handler(_Handler):
            def parse_request(self) -> bool:
                parsed = super().parse_request()
                if parsed:  # a proxy is asked for the whole address
                    self.path = self.path.removeprefix("http://us.i.posthog.com")
                return parsed

            def do_GET(self) -> None:  # noqa: N802 - the name that http.server looks for
                outer.asked.append(self.path)
                found = known and self.path == f"/array/{KEY}/config"
                body = json.dumps({"token": KEY, "hasFeatureFlags": False} if found else {}).encode()
                self.send_response(200 if found else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def date_time_string(self, timestamp: float | None = None) -> str:
                return formatdate(time.time() + skew_s, usegmt=True)

        self._server.RequestHandlerClass = Handler


@pytest.fixture
def project():
    with ProjectServer() as server:
        yield server
    assert server.violations == []


@pytest.fixture
def doctor(command, tmp_path):
    """Runs the doctor; whatever it finds, it shows no key, prompt or traceback, and changes nothing."""
    sessions = tmp_path / "sessions"
    SessionWriter(sessions / "s.jsonl").turn("my secret prompt", "answer")

    def run(server, *arguments, code=0, paths=(sessions,), **environment):
        before = tree(command.home)
        done = command("doctor", *paths, *arguments, **(command.destination(server) | environment))
        assert done.code == code, done.out + done.err
        for text in (done.out, done.err):
            assert KEY not in text
            assert KEY[4:-2] not in text
            assert "my secret prompt" not in text
        assert tree(command.home) == before
        return done

    return run


def line_of(done, name):
    """The text of one check, on one line again, with its mark."""
    text = re.sub(r"\n {9,}", " ", done.out)
    (line,) = (line for line in text.splitlines() if re.match(rf"\S+ +{re.escape(name)} ", line))
    return re.sub(r" +", " ", line)


def check_of(done, name):
    (check,) = (check for check in done.json["checks"] if check["name"] == name)
    return check


def test_all_is_well(doctor, project):
    done = doctor(project)
    assert line_of(done, "API key").startswith("ok")
    assert "All is well." in done.out
    assert "knows phc_…89" in done.out
    assert "phc_…89 (POSTHOG_API_KEY)" in done.out
    assert "1 file" in line_of(done, "files")
    assert "version 3 in 1 file" in line_of(done, "pi format")
    assert project.accepted == []
    assert [request.events for request in project.requests] == [0], "one empty batch"
    assert max(map(len, done.out.splitlines())) <= 80
    assert all(line == line.rstrip() for line in done.out.splitlines())


def test_json_holds_the_same_for_programs(doctor, project):
    report = doctor(project, "--json").json
    assert (report["problems"], report["warnings"]) == (0, 0)
    by_name = {(check["section"], check["name"]): check for check in report["checks"]}
    assert by_name["posthog", "project"]["data"] == {"accepted": True}
    assert by_name["sessions", "files"]["data"]["files"] == 1
    assert by_name["sessions", "pi format"]["data"]["versions"] == {"3": 1}
    assert by_name["ledger", "file"]["data"]["exists"] is False
    assert abs(by_name["posthog", "clock"]["data"]["skew_s"]) <= 2
    assert {check["state"] for check in report["checks"]} == {"ok"}


def test_it_sends_one_plain_event_only_when_asked(doctor, project):
    done = doctor(project, "--send")
    (event,) = project.accepted
    assert event["event"] == "pi2posthog doctor"
    assert event["properties"]["$process_person_profile"] is False
    assert not [name for name in event["properties"] if name.startswith("$ai_")]
    assert event["uuid"] in re.sub(r"\s+", " ", done.out)
    assert "Activity" in done.out
    doctor(project, "--send")
    assert len({event["uuid"] for event in project.accepted}) == 2


def test_switched_off_sends_no_test_event(doctor, project):
    done = doctor(project, "--send", POSTHOG_ENABLED="false")
    assert project.accepted == []
    assert "switched off" in done.out


def test_a_key_that_the_server_refuses_is_a_problem(doctor, project):
    done = doctor(project, "--send", code=1, POSTHOG_API_KEY="phc_wrongwrongwrong")
    assert "refuses the key (401)" in line_of(done, "reachable")
    assert line_of(done, "test event").startswith("problem")
    assert "phc_wrongwrongwrong" not in done.out + done.err


def test_a_key_of_no_project_is_a_problem_where_the_server_is_known_to_tell(doctor):
    with ProjectServer(known=False) as server:
        server.faults = [EMPTY]
        proxied = {"HTTP_PROXY": server.url, "NO_PROXY": "", "POSTHOG_HOST": "http://us.i.posthog.com"}
        done = doctor(server, "--json", code=1, **proxied)
        found = [check for check in done.json["checks"] if check["section"] == "posthog"]
    (key,) = (check for check in found if check["name"] == "project")
    assert (key["state"], key["data"]) == ("problem", {"accepted": False})
    assert "region" in key["advice"]
    (plain,) = (check for check in found if check["name"] == "encryption")
    assert plain["state"] == "warning"


def test_a_server_that_does_not_tell_about_the_key_is_said_to_be_so(doctor):
    with ProjectServer(known=False) as server:
        server.faults = [EMPTY]
        done = doctor(server)
    assert "too old to tell" in line_of(done, "project")
    assert "--send" in line_of(done, "project")
    assert "1 warning." in done.out


@pytest.mark.parametrize(
    ("fault", "state", "says"),
    [
        (Fault(status=404, body=b"not found"), "problem", "no PostHog /batch/"),
        (Fault(status=200, body=b"<html>log in</html>"), "problem", "no PostHog /batch/"),
        (
            Fault(status=301, headers={"Location": "https://elsewhere.example/x?y=1"}),
            "problem",
            "https://elsewhere.example",
        ),
        (Fault(status=503), "warning", "answers 503"),
        (Fault(reset="before"), "problem", "cannot be reached"),
        (Fault(status=400, body=b"{bad [bold]markup[/bold] \x1b[31m"), "ok", "answers in"),
    ],
)
def test_what_else_may_answer(doctor, project, fault, state, says):
    project.faults = [fault]
    done = doctor(project, code=1 if state == "problem" else 0)
    line = line_of(done, "reachable")
    assert line.startswith(state)
    assert says in line
    assert project.accepted == []


def test_a_slow_server_is_given_up_and_the_rest_is_checked(doctor, project):
    project.faults = [Fault(delay_s=30)]
    began_s = time.monotonic()
    done = doctor(project, code=1)
    assert time.monotonic() - began_s < 20
    assert "no answer within 10 s" in line_of(done, "reachable")
    assert line_of(done, "files").startswith("ok")


def test_a_host_that_is_down_is_one_problem_and_the_rest_is_checked(doctor, project):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        done = doctor(project, code=1, POSTHOG_HOST=address)
    assert "connection refused" in line_of(done, "reachable")
    assert line_of(done, "disk").startswith("ok")
    assert "1 problem." in done.out


def test_a_name_that_nobody_knows(doctor, project):
    done = doctor(project, code=1, POSTHOG_HOST="https://posthog.invalid")
    assert "cannot be reached" in line_of(done, "reachable")


def test_https_to_a_server_that_speaks_http(doctor, project):
    done = doctor(project, code=1, POSTHOG_HOST=project.url.replace("http:", "https:"))
    assert "TLS error" in line_of(done, "reachable")


@pytest.mark.parametrize(("skew_s", "says"), [(-3 * 86_400, "3 days ahead"), (302, "5 minutes behind")])
def test_a_clock_that_is_wrong_is_a_warning_with_its_reason(doctor, skew_s, says):
    with ProjectServer(skew_s=skew_s) as server:
        line = line_of(doctor(server), "clock")
    assert line.startswith("warning")
    assert says in line
    assert "pi writes its times" in line


def test_a_minute_is_no_skew(doctor):
    with ProjectServer(skew_s=-55) as server:
        assert line_of(doctor(server), "clock").startswith("ok")


def test_no_key_is_a_problem_that_says_where_to_get_one(doctor, project):
    done = doctor(project, code=1, POSTHOG_API_KEY="")
    line = line_of(done, "API key")
    assert line.startswith("problem")
    assert "Settings > Project" in line


def test_each_setting_says_where_it_comes_from_and_a_misspelt_key_is_seen(doctor, project, command):
    config = command.home / ".pi" / "agent" / "posthog.json"
    config.parent.mkdir(parents=True)
    config.write_text(json.dumps({"apiKey": KEY, "privacyMode": True, "privacymode": 1, "[red]x\x1b[0m": 2}))
    done = doctor(project, POSTHOG_API_KEY="", POSTHOG_TRACE_GROUPING="session")
    text = re.sub(r"\s+", " ", done.out)
    assert "phc_…89 (" in text
    assert "session (POSTHOG_TRACE_GROUPING)" in text
    assert f"True ({config})" in text.replace("- ", "-") or "True (" in text
    line = line_of(done, "config file")
    assert line.startswith("warning")
    assert "privacymode" in line
    assert "[red]x\\x1b[0m" in line


@pytest.mark.parametrize("content", ["{", "[1]", '{"traceGrouping": "weekly"}', '{"host": "ftp://x"}'])
def test_a_bad_config_file_is_a_problem_and_the_rest_is_checked(doctor, project, command, content):
    config = command.home / ".pi" / "agent" / "posthog.json"
    config.parent.mkdir(parents=True)
    config.write_text(content)
    done = doctor(project, code=1, POSTHOG_HOST="")
    assert line_of(done, "values").startswith("problem")
    assert "posthog.json" in re.sub(r"\s+", "", done.out)
    assert line_of(done, "files").startswith("ok")
    assert "not tried" in line_of(done, "reachable")
    assert project.requests == []


@pytest.mark.parametrize(
    "arguments", [["--host", "ftp://x"], ["nowhere"], ["--from", "nobody"], ["--no-such-flag"]]
)
def test_wrong_usage_is_one_line_and_2(command, project, arguments):
    done = command("doctor", *arguments, **command.destination(project))
    assert done.code == 2
    assert len(done.error_lines) == 1
    assert done.out == ""


def test_no_session_folder_is_a_problem_and_an_empty_one_a_warning(doctor, project, command, tmp_path):
    done = doctor(project, code=1, paths=())
    assert "does not exist" in line_of(done, "files")
    (tmp_path / "empty").mkdir()
    done = doctor(project, paths=(tmp_path / "empty",))
    assert line_of(done, "files").startswith("warning")
    assert "OpenClaw" in line_of(doctor(project, "--from", "openclaw", code=1, paths=()), "files")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX links")
def test_files_that_cannot_be_read_are_counted_with_their_reasons(doctor, project, tmp_path):
    folder = tmp_path / "sessions"
    (folder / "empty.jsonl").touch()
    (folder / "other.jsonl").write_text('{"hello": 1}\n')
    SessionWriter(folder / "new.jsonl", version=9)
    # Root may read everything, but nobody can follow a link to itself.
    loops = [tmp_path / f"[bold]{number}\x1b[31m.jsonl" for number in range(7)]
    for loop in loops:
        loop.symlink_to(loop)
    done = doctor(project, "--json", paths=(folder, *loops))
    unreadable = [check for check in done.json["checks"] if check["name"] == "unreadable"]
    assert [check["state"] for check in unreadable] == ["warning"] * 6
    assert "symbolic links" in unreadable[0]["found"]
    assert "2 more" in unreadable[5]["found"]
    formats, left_out = check_of(done, "pi format"), check_of(done, "left out")
    assert (formats["state"], formats["data"]["versions"]) == ("warning", {"3": 1, "9": 1})
    assert left_out["data"]["files"] == 2
    assert "empty file" in left_out["found"]
    assert "not a session file" in left_out["found"]
    shown = doctor(project, paths=(folder, *loops)).out
    assert "\x1b" not in shown
    assert "[bold]0\\x1b[31m" in re.sub(r"\s", "", shown)


def test_other_agents_formats_are_named(doctor, project):
    fixture = next((SAMPLES.parent / "tests" / "fixtures" / "agents").glob("openclaw*/*"))
    done = doctor(project, "--from", "openclaw", paths=(fixture,))
    assert "OpenClaw format" in done.out


def ledger_of(command, ids=3):
    with Ledger.open(command.ledger) as ledger:
        uuids = [f"00000000-0000-4000-8000-{n:012x}" for n in range(ids)]
        ledger.record(ledger.destination_id("https://us.i.posthog.com", KEY), uuids, 1_795_446_000_000)


def test_a_ledger_is_counted_and_checked(doctor, project, command):
    ledger_of(command, 1234)
    line = line_of(doctor(project), "file")
    assert line.startswith("ok")
    assert "1,234 events delivered" in line
    assert "intact" in line


@pytest.mark.parametrize("damage", ["page", "zeros"])
def test_a_damaged_ledger_is_a_problem_that_says_what_to_do(doctor, project, command, damage):
    ledger_of(command, 5000)
    content = command.ledger.read_bytes()
    spoilt = content[:-4096] + b"\xff" * 4096 if damage == "page" else bytes(len(content))
    command.ledger.write_bytes(spoilt)
    line = line_of(doctor(project, code=1), "file")
    assert line.startswith("problem")
    assert "is damaged" in line
    assert "backfill --yes" in line
    assert command.ledger.read_bytes() == spoilt


def test_a_file_that_is_no_ledger_is_a_problem(doctor, project, tmp_path):
    (tmp_path / "notes.txt").write_text("milk")
    line = line_of(doctor(project, "--state", tmp_path / "notes.txt", code=1), "file")
    assert "is no ledger" in line


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_that_cannot_be_written_is_a_problem(doctor, project, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    line = line_of(doctor(project, "--state", tmp_path / "closed" / "l.sqlite3", code=1), "disk")
    assert "cannot be written" in line


def test_a_last_error_is_shown_until_a_delivery_succeeds(doctor, project, command):
    ledger_of(command)
    with Ledger.open(command.ledger) as ledger:
        ledger.note_error(1, "it answered 503", 1_795_446_001_000)
    line = line_of(doctor(project), "last error")
    assert line.startswith("warning")
    assert "it answered 503" in line


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX processes")
def test_a_ledger_in_use_names_its_process_and_is_read_all_the_same(doctor, project, command):
    ledger_of(command)
    hold = (
        "import sys, time; from importer.ledger.ledger import Ledger\n"
        "ledger = Ledger.open(sys.argv[1]); print(flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", hold, str(command.ledger)],
        stdout=subprocess.PIPE,
        text=True,
        env=command.environment(),
    )
    try:
        process.stdout.readline()
        done = doctor(project, "--json")
    finally:
        process.kill()
        process.communicate()
    assert check_of(done, "in use")["data"] == {"pid": process.pid}
    assert check_of(done, "file")["data"]["ids"] == 3


def test_a_narrow_terminal_and_one_without_unicode(doctor, project):
    done = doctor(project, COLUMNS="40")
    assert max(map(len, done.out.splitlines())) <= 48
    done = doctor(project, LC_ALL="C", PYTHONIOENCODING="ascii")
    assert "All is well." in done.out
