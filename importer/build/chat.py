"""Encodes each message once, as JSON that is spliced into every input that holds it.

The context of call n is that of call n-1 and a little more: to encode each input anew would make 190 MB of
work of a session of 2 MB.
"""

from __future__ import annotations

from typing import Any

import msgspec

from importer.build.joining import EncodedLink, Stretches, make_link
from importer.build.redaction import Redactor
from importer.build.trimming import EVENT_LIMIT, LARGEST_PART, TOO_LARGE, cut_once
from parsers.pi.chain import ContextMessage, Link
from parsers.pi.entries import Content
from parsers.pi.messages import ChatMessage, SystemPrompt, chat_message, output_choices


class ChatEncoder:
    """Encodes what models saw and said, redacted. Each session file has one, which goes with its cache.

    Args:
        redactor: cuts out what must not leave the machine.
    """

    def __init__(self, redactor: Redactor) -> None:
        self.stretches = Stretches()
        self._redactor = redactor
        self._messages: dict[ContextMessage, bytes] = {}
        self._links: dict[Link, EncodedLink] = {}
        self._prompts: dict[SystemPrompt, bytes] = {}
        self._tools: dict[SystemPrompt, bytes] = {}

    def message(self, message: ContextMessage) -> bytes:
        """Return one message of an input as JSON."""
        encoded = self._messages.get(message)
        if encoded is None:
            if message.is_forgotten:
                raise RuntimeError("a session's events are built by one builder")
            chat = self._redact(chat_message(message.source))
            encoded = msgspec.json.encode(chat)
            if len(encoded) > LARGEST_PART:
                stand_in = {"role": chat["role"], "content": TOO_LARGE}
                encoded = cut_once(encoded) or msgspec.json.encode(stand_in)
            self._messages[message] = encoded
            message.forget()
        return encoded

    def prompt(self, prompt: SystemPrompt) -> bytes:
        """Return the system message as JSON; empty if pi recorded no system prompt."""
        encoded = self._prompts.get(prompt)
        if encoded is None:
            text = self._redactor.clean(prompt.text)
            encoded = msgspec.json.encode({"role": "system", "content": text}) if text else b""
            self._prompts[prompt] = encoded
        return encoded

    def tools(self, prompt: SystemPrompt, *, names_only: bool) -> msgspec.Raw | None:
        """Return the tools that the model was given, in OpenAI's format; None if pi did not record them."""
        if not prompt.tools:
            return None
        encoded = self._tools.get(prompt)
        if encoded is None:
            fields = ("name",) if names_only else ("name", "description", "parameters")
            tools = [
                {"type": "function", "function": {key: tool[key] for key in fields if key in tool}}
                for tool in prompt.tools.values()
            ]
            encoded = msgspec.json.encode(self._redactor.strings(tools))
            if len(encoded) > EVENT_LIMIT:  # so is every event with them
                encoded = cut_once(encoded) or b"null"
            self._tools[prompt] = encoded
        return msgspec.Raw(encoded)

    def output(self, content: Content) -> list[ChatMessage]:
        """Return a model's answer as ``$ai_output_choices``."""
        return [self._redact(choice) for choice in output_choices(content)]

    def link(self, link: Link | None) -> EncodedLink | None:
        """Return a link of a chain with its messages encoded."""
        pending = []
        while link is not None and link not in self._links:
            pending.append(link)
            link = link.previous
        encoded = self._links[link] if link else None
        for step in reversed(pending):
            encoded = self._links[step] = make_link(encoded, self.message(step.message))
        return encoded

    def _redact(self, message: ChatMessage) -> ChatMessage:
        content = message["content"]
        cut = self._redactor.text if message["role"] == "tool" else self._redactor.clean
        if isinstance(content, str):
            message["content"] = cut(content)
        elif content is not None:
            message["content"] = [self._redact_part(part, cut) for part in content]
        if "tool_calls" in message:
            message["tool_calls"] = [self._redact_part(call, cut) for call in message["tool_calls"]]
        return message

    def _redact_part(self, part: dict[str, Any], cut: Any) -> dict[str, Any]:
        if part["type"] == "function":
            function = part["function"]
            function["arguments"] = self._redactor.state(function["arguments"]) or "{}"
        elif part["type"] in ("text", "thinking"):
            part[part["type"]] = cut(part[part["type"]])
        return part
