"""A number that is out of its range ends every command in one line, before anything is reckoned with it."""

from __future__ import annotations

import pytest

from tests.command import SAMPLES

ONE = SAMPLES / "0.87.1" / "tools"
COMMANDS = ("preview", "backfill", "watch", "status", "doctor")
WINDOW = "POSTHOG_SESSION_WINDOW_MINUTES"
OPTIONS = [
    ("watch", "--settle", "nan", "use a number of seconds from 0 to 1000000000"),
    ("watch", "--settle", "inf", "use a number of seconds from 0 to 1000000000"),
    ("watch", "--settle", "1e308", "use a number of seconds from 0 to 1000000000"),
    ("watch", "--settle", "-1", "use a number of seconds from 0 to 1000000000"),
    ("preview", "--limit", "-1", "use a whole number from 0 to 1000000000"),
    ("backfill", "--limit", "9" * 308, "use a whole number from 0 to 1000000000"),
    ("backfill", "--parallel", "", "use a whole number from 1 to 32"),
    ("backfill", "--max-mb-per-minute", "\u0663", "use a whole number from 1 to 1000000"),
    ("preview", "--content-days", "nan", "use a number of days from 0 to 36500, or all"),
]


@pytest.mark.parametrize("value", ["9" * 308, "1e308", "nan"], ids=["308 nines", "1e308", "nan"])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_variable_out_of_its_range_is_named_with_it(command, name, value):
    done = command(
        name, ONE, **{"POSTHOG_API_KEY": "phc_x", "POSTHOG_HOST": "http://127.0.0.1:9", WINDOW: value}
    )
    says = f"{WINDOW} is '{value[:9]}" if len(value) > 60 else f"{WINDOW} is '{value}'"
    if name == "doctor":
        assert done.code == 1
        assert says in " ".join(done.out.split())
        return
    assert (done.code, done.out) == (2, "")
    (line,) = done.error_lines
    assert says in line
    assert line.endswith("use a number of minutes from 0.001 to 52560000")


@pytest.mark.parametrize(("name", "option", "value", "allowed"), OPTIONS)
def test_an_option_out_of_its_range_is_named_with_it(command, name, option, value, allowed):
    done = command(name, ONE, option, value, POSTHOG_API_KEY="phc_x", POSTHOG_HOST="http://127.0.0.1:9")
    assert (done.code, done.out) == (2, "")
    (line,) = done.error_lines
    assert f"{option} is " in line
    assert line.endswith(allowed)
