"""Parts of the doctor: masked keys, the sources of settings, errors, the test event."""

from __future__ import annotations

import dataclasses

import pytest

from importer import settings as settings_module
from importer.commands.checks import _NO_SETTINGS, _to_camel_case, check_error, check_settings, mask_key
from importer.commands.server_checks import _make_test_event
from importer.errors import UsageError
from importer.settings import Settings


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("phc_AbCdEfGhIjKlMnOp", "phc_…Op"),
        ("a1b2c3d4e5f6", "a1b2…f6"),
        ("phc_short", "…"),
        ("x", "…"),
        ("", "…"),
    ],
)
def test_at_most_six_characters_of_a_key_are_shown(key, shown):
    assert mask_key(key) == shown


def test_every_setting_has_the_name_that_load_settings_looks_for():
    for name, setting in settings_module._SETTINGS.items():
        assert setting.variable == f"POSTHOG_{name.upper()}"
        assert setting.key == _to_camel_case(name)
    names = {field.name for field in dataclasses.fields(Settings)}
    assert names - set(_NO_SETTINGS) == set(settings_module._SETTINGS)


def test_settings_show_their_source_and_no_key(tmp_path):
    settings = Settings(
        api_key="phc_AbCdEfGhIjKlMnOp",
        tags={"team": "a", "x": "y"},
        sources={"api_key": "flag", "tags": "/home/dev/posthog.json", "host": "default"},
        config_path=tmp_path / "posthog.json",
    )
    lines = {check.name: check.found for check in check_settings(settings)}
    assert lines["API key"] == "phc_…Op (--api-key)"
    assert lines["tags"] == "team:a, x:y (/home/dev/posthog.json)"
    assert lines["host"] == "https://us.i.posthog.com (default)"


def test_an_error_is_split_into_what_is_wrong_and_what_to_do():
    check = check_error("ledger", "file", UsageError("a: b is bad; do this"), "; ")
    assert (check.state, check.found, check.advice) == ("problem", "a: b is bad", "do this")
    assert check_error("x", "y", UsageError("nothing to split")).found == "nothing to split"


def test_a_test_event_has_no_person_and_a_new_id():
    first, second = (
        _make_test_event(Settings(distinct_id="me@example.com"), 1_795_446_000_000) for _ in range(2)
    )
    assert first.uuid != second.uuid
    assert b'"distinct_id":"me@example.com"' in first.encode()
    assert b'"$process_person_profile":false' in first.encode()
    assert b'"timestamp":"2026-11-23T15:00:00.000Z"' in first.encode()
    assert first.size == len(first.encode())
