"""The doctor's checks of PostHog: whether it is there, knows the key, and agrees about the time."""

from __future__ import annotations

import re
import socket
import time

import pytest

from tests.doctoring import ProjectServer, find_line
from tests.posthog_server import Fault

EMPTY = Fault(status=400, body=b"request holds no event")  # what PostHog says before it looks at the key


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
    assert "refuses the key (401)" in find_line(done, "reachable")
    assert find_line(done, "test event").startswith("problem")
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


def test_a_server_that_cannot_tell_about_the_key_is_a_warning(doctor):
    with ProjectServer(known=False) as server:
        server.faults = [EMPTY]
        done = doctor(server)
    assert "too old to tell" in find_line(done, "project")
    assert "--send" in find_line(done, "project")
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
def test_each_other_answer_has_a_line_of_its_own(doctor, project, fault, state, says):
    project.faults = [fault]
    done = doctor(project, code=1 if state == "problem" else 0)
    line = find_line(done, "reachable")
    assert line.startswith(state)
    assert says in line
    assert project.accepted == []


def test_a_slow_server_is_given_up_and_the_rest_is_checked(doctor, project):
    project.faults = [Fault(delay_s=30)]
    began_s = time.monotonic()
    done = doctor(project, code=1)
    assert time.monotonic() - began_s < 20
    assert "no answer within 10 s" in find_line(done, "reachable")
    assert find_line(done, "files").startswith("ok")


def test_a_host_that_is_down_is_one_problem_and_the_rest_is_checked(doctor, project):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        done = doctor(project, code=1, POSTHOG_HOST=address)
    assert "connection refused" in find_line(done, "reachable")
    assert find_line(done, "disk").startswith("ok")
    assert "1 problem." in done.out


def test_an_unknown_host_name_is_a_problem(doctor, project):
    done = doctor(project, code=1, POSTHOG_HOST="https://posthog.invalid")
    assert "cannot be reached" in find_line(done, "reachable")


def test_https_to_an_http_server_is_a_tls_error(doctor, project):
    done = doctor(project, code=1, POSTHOG_HOST=project.url.replace("http:", "https:"))
    assert "TLS error" in find_line(done, "reachable")


@pytest.mark.parametrize(("skew_s", "says"), [(-3 * 86_400, "3 days ahead"), (302, "5 minutes behind")])
def test_a_clock_that_is_wrong_is_a_warning_with_its_reason(doctor, skew_s, says):
    with ProjectServer(skew_s=skew_s) as server:
        line = find_line(doctor(server), "clock")
    assert line.startswith("warning")
    assert says in line
    assert "pi writes its times" in line


def test_a_minute_of_clock_skew_is_no_warning(doctor):
    with ProjectServer(skew_s=-55) as server:
        assert find_line(doctor(server), "clock").startswith("ok")
