"""Calls of every cost basis: a ``models.json`` as a user writes it, and a session whose calls need it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from importer.prices import FILE_NAME
from tests.session_writer import SessionWriter, text

MODELS_JSON = """\ufeff{
  // a comment, as pi allows it; "//" in a text is none
  "$schema": "https://pi.dev/schemas/models.schema.json",
  "providers": {
    "mine": {
      "baseUrl": "https://models.example.com/v1",
      "api": "openai-completions",
      "apiKey": "!touch ran-by-models-json",
      "headers": {"x-key": "$SECRET_OF_MINE"},
      "models": [
        {"id": "gpt-mine", "cost": {"input": 2, "output": 8, "cacheRead": 0.2, "cacheWrite": 2.5, "tiers": [
          {"inputTokensAbove": 200000, "input": 4, "output": 12, "cacheRead": 0.4, "cacheWrite": 5},
        ]}},
        {"id": "gpt-zero", "cost": {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0}},
        {"id": "gpt-here", "baseUrl": "http://[::1]:8080/v1"},
      ],
    },
    "box": {"baseUrl": "http://192.168.1.7:8000/v1", "models": [
      {"id": "qwen"},
      {"id": "away", "baseUrl": "https://models.example.com/v1"}
    ]},
    "anthropic": {"modelOverrides": {
      "claude-old": {"cost": {"input": 3, "output": 15, "cacheRead": 0.3, "cacheWrite": 3.75}},
      "claude-part": {"cost": {"input": 3}},
    }},
  },
}
"""
TOKENS = {"input": 1000, "output": 100, "cacheRead": 5000, "cacheWrite": 400, "cacheWrite1h": 150}
ESTIMATE = (2 * 1000 + 0.2 * 5000 + 2.5 * 250 + 2 * 2 * 150 + 8 * 100) / 1e6
PAID: dict[str, Any] = {"input": 0.01, "output": 0.02, "total": 0.03}
NOT_PAID: dict[str, Any] = {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0, "total": 0}

CALLS: dict[str, tuple[str, str, dict[str, Any], str, float]] = {
    # provider, model, cost, basis, US dollars
    "a price of pi's catalogue": ("openai", "gpt-x", PAID, "list", 0.03),
    "told not to be the provider's": ("openai", "gpt-x", PAID | {"totalFromProvider": False}, "list", 0.03),
    "told by the provider": ("openrouter", "x", PAID | {"totalFromProvider": True}, "billed", 0.03),
    "a bill for a plan": ("kimi-coding", "k2", PAID | {"totalFromProvider": True}, "billed", 0.03),
    "codex": ("openai-codex", "gpt-x", PAID, "subscription", 0.03),
    "copilot": ("github-copilot", "gpt-x", PAID, "subscription", 0.03),
    "kimi": ("kimi-coding", "k2", PAID, "subscription", 0.03),
    "a token plan": ("zai-token-plan-eu", "glm", PAID, "subscription", 0.03),
    "a plan in the settings": ("our-plan", "gpt-x", PAID, "subscription", 0.03),
    "a price in models.json": ("mine", "gpt-mine", NOT_PAID, "estimated", ESTIMATE),
    "a price in models.json, and a cost below 0": (
        "mine",
        "gpt-mine",
        {"total": -1.5},
        "estimated",
        ESTIMATE,
    ),
    "a whole override": (
        "anthropic",
        "claude-old",
        NOT_PAID,
        "estimated",
        (3 * 1000 + 0.3 * 5000 + 3.75 * 250 + 6 * 150 + 15 * 100) / 1e6,
    ),
    "a model for free": ("openrouter", "deepseek-r1:free", NOT_PAID, "free", 0.0),
    "another model for free": ("opencode", "grok-free", NOT_PAID, "free", 0.0),
    "a server of one's own": ("ollama", "qwen2.5-coder:7b", NOT_PAID, "free", 0.0),
    "a server in a private network": ("box", "qwen", NOT_PAID, "free", 0.0),
    "another model of that server": ("box", "unheard", NOT_PAID, "free", 0.0),
    "a model elsewhere of that provider": ("box", "away", NOT_PAID, "unpriced", 0.0),
    "a model on this machine": ("mine", "gpt-here", NOT_PAID, "free", 0.0),
    "a model without a price": ("mine", "gpt-new", NOT_PAID, "unpriced", 0.0),
    "a price of 0": ("mine", "gpt-zero", NOT_PAID, "unpriced", 0.0),
    "a part of an override": ("anthropic", "claude-part", NOT_PAID, "unpriced", 0.0),
    "a price of another provider": ("theirs", "gpt-mine", NOT_PAID, "unpriced", 0.0),
    "a cost below 0": ("openai", "gpt-x", {"total": -0.5}, "unpriced", 0.0),
}
SETTINGS: dict[str, Any] = {"subscription_providers": ("our-plan",)}


def write_models(folder: Path, content: str = MODELS_JSON) -> Path:
    """Write ``models.json`` into a folder, as pi's agent folder has it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
    path.write_text(content, encoding="utf-8")
    return path


def write_calls(path: Path) -> SessionWriter:
    """Write a session with one prompt, a call for each of :data:`CALLS`, and one without tokens."""
    story = SessionWriter(path)
    for name, (provider, model, cost, _, _) in CALLS.items():
        usage = TOKENS | {"totalTokens": sum(TOKENS.values()) - TOKENS["cacheWrite1h"], "cost": cost}
        story.user(name)
        story.assistant(text("done"), provider=provider, model=model, usage=usage)
    story.user("no tokens")
    story.assistant(text("done"), model="gpt-new", usage={"input": 0, "output": 0, "cost": NOT_PAID})
    write_as_pi(story.path)
    return story


def write_as_pi(path: Path) -> None:
    """Rewrite a session without white space, as pi does, so that compiled code takes its lines."""
    lines = map(json.loads, path.read_bytes().splitlines())
    path.write_bytes(b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines))
