"""Every number that a user can set has a range, and what is outside is named with it."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from pathlib import Path

import pytest
import typer.main

import importer
from importer.cli import app
from importer.errors import UsageError
from importer.settings import _SETTINGS, Settings, check_number, load_settings
from importer.settings_values import RANGES

README = Path(__file__).parents[2] / "README.md"
TEXTS = {
    "empty": "",
    "blank": " ",
    "negative": "-1",
    "negative zero": "-0",
    "nan": "nan",
    "infinity": "inf",
    "minus infinity": "-inf",
    "exponent": "1e308",
    "308 nines": "9" * 308,
    "5000 nines": "9" * 5000,
    "a small exponent": "1e-320",
    "Arabic digits": "\u0663",
    "full-width digits": "\uff13",
    "superscript": "\u00b2",
    "underscore": "1_0",
    "hexadecimal": "0x10",
    "word": "many",
    "two points": "1.2.3",
    "lone point": ".",
}
VALUES = {
    "true": True,
    "false": False,
    "nan": math.nan,
    "infinity": math.inf,
    "minus infinity": -math.inf,
    "1e308": 1e308,
    "negative": -1,
    "309 digits": 10**308,
    "5001 digits": 10**5000,
    "minus 5001 digits": -(10**5000),
    "list": [1],
    "object": {},
}


def options():
    """Yield command, option and kind of every option of the command line."""
    for name, command in typer.main.get_command(app).commands.items():
        for option in command.params:
            yield name, option, option.type.name


def flag_of(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def read(name, raw, environ, config_path) -> None:
    """Read a value of an option, or of a setting that comes from a flag, or else the environment or file."""
    if name not in _SETTINGS:
        check_number(name, raw, flag_of(name))
    elif environ is not None:
        load_settings(environ=environ, config_path=config_path)
    else:
        load_settings({name: raw}, environ={}, config_path=config_path)


def refusal(name, raw, *, environ=None, config_path) -> str:
    """Return the one line that a value is refused with."""
    with pytest.raises(UsageError) as caught:
        read(name, raw, environ, config_path)
    text = str(caught.value)
    assert text.isprintable()
    assert len(text) < 250
    return text


def assert_names(text: str, name: str, shown_name: str) -> None:
    allowed = RANGES[name]
    assert text.startswith(f"{shown_name} is ")
    assert f"from {allowed.least:.12g} to {allowed.most:.12g}" in text


@pytest.fixture
def nowhere(tmp_path):
    return tmp_path / "missing.json"


def test_the_table_has_every_number_of_the_settings():
    numbers = {field.name for field in dataclasses.fields(Settings) if re.search(r"int|float", field.type)}

    assert numbers == RANGES.keys() & _SETTINGS.keys()


def test_no_option_is_a_number_that_the_table_lacks():
    """An option that typer itself makes a number of has no range; what looks like a count is in the table."""
    counts = ("N", "SECONDS", "DAYS|all")
    for command, option, kind in options():
        assert kind not in ("integer", "float", "integer range", "float range"), (command, option.name)
        assert (option.metavar in counts) == (option.name in RANGES), (command, option.name)


def test_all_that_is_in_the_table_can_be_set():
    assert RANGES.keys() <= _SETTINGS.keys() | {option.name for _, option, _ in options()}


@pytest.mark.parametrize("name", RANGES)
def test_the_readme_shows_the_range(name):
    names = [flag_of(name)] + ([_SETTINGS[name].variable] if name in _SETTINGS else [])
    least, most = (f"{end:,.12g}" for end in RANGES[name][:2])
    rows = [row for row in README.read_text(encoding="utf-8").splitlines() if row.startswith("| `")]

    assert any(f"{least} to {most}" in row and any(f"`{each}" in row for each in names) for row in rows)


@pytest.mark.parametrize("name", RANGES)
def test_a_range_has_finite_ends_which_are_both_allowed(name, nowhere):
    allowed = RANGES[name]
    for end in (allowed.least, allowed.most):
        assert math.isfinite(end)
        for raw in (end, f"{end:.12g}", f" {end:.12g} "):
            if name in _SETTINGS:
                assert getattr(load_settings({name: raw}, environ={}, config_path=nowhere), name) == end
            else:
                assert check_number(name, raw, name) == end


@pytest.mark.parametrize("name", RANGES)
def test_a_number_just_outside_is_refused_with_the_range(name, nowhere):
    allowed = RANGES[name]
    step = 1 if allowed.is_whole else 0.0005
    for raw in (allowed.least - step, allowed.most + step, f"{allowed.most + step:.20g}"):
        assert_names(refusal(name, raw, config_path=nowhere), name, flag_of(name))


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("name", RANGES)
def test_a_text_that_is_no_number_of_the_range_is_refused_wherever_it_stands(name, text, nowhere, tmp_path):
    assert_names(refusal(name, text, config_path=nowhere), name, flag_of(name))
    if name not in _SETTINGS:
        return
    setting = _SETTINGS[name]
    if text:  # a variable that is set to nothing counts as not set
        environ = {setting.variable: text}
        assert_names(refusal(name, None, environ=environ, config_path=nowhere), name, setting.variable)
    else:
        settings = load_settings(environ={setting.variable: text}, config_path=nowhere)
        assert getattr(settings, name) == getattr(Settings(), name)
    path = tmp_path / "posthog.json"
    path.write_text(json.dumps({setting.key: text}))
    assert_names(refusal(name, None, environ={}, config_path=path), name, f"{setting.key} in {path}")


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize("name", RANGES)
def test_a_value_from_python_is_checked_before_it_is_reckoned_with(name, value, nowhere):
    assert_names(refusal(name, value, config_path=nowhere), name, flag_of(name))


@pytest.mark.parametrize("settle_s", [math.nan, math.inf, -1, 1e308])
def test_watch_from_python_checks_its_number(settle_s):
    with pytest.raises(UsageError, match=r"settle_s is .* from 0 to 1000000000"):
        importer.watch(Settings(api_key="phc_x"), settle_s=settle_s)
