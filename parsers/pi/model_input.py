"""What a model call was given, in three sizes."""

from __future__ import annotations

from msgspec import Struct

from parsers.pi.chain import Span
from parsers.pi.prompt import SystemPrompt


class ModelInput(Struct, frozen=True):
    """The messages that a call was given: all, those since the run began, and those since the call before."""

    prompt: SystemPrompt
    full: Span
    turn: Span
    new: Span


class InputSizes(Struct, frozen=True):
    """About how many bytes of JSON these messages take, where a session is only counted."""

    prompt: SystemPrompt
    full: int
    turn: int
    new: int
