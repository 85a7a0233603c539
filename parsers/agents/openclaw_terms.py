"""What OpenClaw writes in its own way, in pi's terms. Source: as :mod:`parsers.agents.openclaw`."""

from __future__ import annotations

from parsers.pi import entries as e
from parsers.pi.decoding import Decoded

_OWN_WORDS = frozenset({"delivery-mirror", "gateway-injected"})


def in_pi_terms(decoded: Decoded) -> Decoded:
    """Make the texts that OpenClaw puts into a session itself, as an assistant, no model calls.

    It writes them with its own name for a provider, without usage, and keeps them from the model
    (isTranscriptOnlyOpenClawAssistantMessage in its ``dist``).
    """
    line = decoded.line
    if isinstance(line, e.MessageEntry) and isinstance(line.message, e.AssistantMessage):
        message = line.message
        if message.provider == "openclaw" and message.model in _OWN_WORDS:
            line.message = e.UnknownMessage("assistant", message.timestamp)
    return decoded
