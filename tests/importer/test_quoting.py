"""What reaches a terminal is escaped, and means the same."""

import json
import sys
import unicodedata

import msgspec

from importer.quoting import printable_json

OBEYED = {"Cc", "Cf", "Zl", "Zp"}


def test_no_character_that_a_terminal_may_obey_or_hide_is_left_of_all_there_are():
    text = "".join(chr(c) for c in range(sys.maxunicode + 1) if not 0xD800 <= c < 0xE000)

    shown = printable_json(msgspec.json.encode(text))

    assert {c for c in shown.decode() if unicodedata.category(c) in OBEYED} == set()
    assert not {"\u034f", "\u3164", "\ufe0f", "\U000e0100"} & set(shown.decode())
    assert json.loads(shown) == text
    assert msgspec.json.decode(shown) == text


def test_letters_signs_and_newlines_between_values_stay_as_they_are():
    text = '{\n  "name": "Größe 大小 حجم 🎉"\n}'.encode()

    assert printable_json(text) is text


def test_a_character_beyond_16_bits_becomes_two_escapes():
    assert printable_json('"\U000e0001"'.encode()) == rb'"\udb40\udc01"'
