"""A throw-away home for the agent: the same names in it on every machine."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

COST = {"input": 3.0, "output": 15.0, "cacheRead": 0.3, "cacheWrite": 3.75}
OTHER_COST = {"input": 0.5, "output": 2.5, "cacheRead": 0.05, "cacheWrite": 0.625}
SETTINGS: dict[str, Any] = {
    "enableInstallTelemetry": False,
    "retry": {"baseDelayMs": 50, "provider": {"maxRetries": 0}},
    "compaction": {"enabled": True, "reserveTokens": 2000, "keepRecentTokens": 40},
}
# Dear enough, and its cache short-lived enough, for pi to warm the cache while a tool runs.
WARM_COST = {"input": 30.0, "output": 150.0, "cacheRead": 3.0, "cacheWrite": 37.5}
TREE = Path(__file__).with_name("tree.js")


class Sandbox:
    """Context manager for a root folder that holds the agent's home and the folder it works in."""

    def __init__(self, base_url: str, api_key: str) -> None:
        """Take the model's address and the key that the agent is to send."""
        self._base_url = base_url
        self._api_key = api_key

    def __enter__(self) -> "Sandbox":
        # Resolved, because the agent writes the real path into the session.
        self.root = Path(tempfile.mkdtemp(prefix="pi-agent-")).resolve()
        self.home = self.root / "home" / "dev"
        self.cwd = self.home / "work" / "shop"
        self.scratch = self.root / "scratch"
        agent = self.home / ".pi" / "agent"
        for folder in (self.cwd, self.scratch, agent / "extensions"):
            folder.mkdir(parents=True)
        (agent / "models.json").write_text(json.dumps(self._models()))
        (agent / "settings.json").write_text(json.dumps(SETTINGS))
        self.install_extension(TREE)
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.root, ignore_errors=True)

    def install_extension(self, code: Path) -> None:
        """Put an extension where pi finds it when it starts."""
        shutil.copy(code, self.home / ".pi" / "agent" / "extensions")

    @property
    def sessions(self) -> Path:
        """The folder that pi keeps its sessions in."""
        return self.home / ".pi" / "agent" / "sessions"

    def session_files(self) -> list[Path]:
        """Every session file written so far, oldest name first."""
        return sorted(self.sessions.rglob("*.jsonl"), key=lambda path: path.name)

    def _models(self) -> dict[str, Any]:
        def model(name: str, cost: dict[str, float], **extra: Any) -> dict[str, Any]:
            shape = {"reasoning": True, "input": ["text", "image"], "contextWindow": 20000, "maxTokens": 4000}
            return {"id": name, "name": name, **shape, "cost": cost, **extra}

        provider = {
            "baseUrl": self._base_url,
            "api": "openai-completions",
            "apiKey": self._api_key,
            "compat": {"supportsDeveloperRole": False},
            "models": [
                model("mock-1", COST),
                model("mock-2", OTHER_COST),
                model("mock-warm", WARM_COST, promptCache={"short": 11}),
                model("mock-blind", COST, input=["text"]),
                model("mock-updated", COST, compat={"supportsMidConvoSystemMessages": True}),
            ],
        }
        return {"providers": {"mock": provider}}
