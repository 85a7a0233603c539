"""The real agent's RPC commands, as methods."""

import json
import time
from pathlib import Path
from typing import Any

from tests.agent.process import TIMEOUT, AgentError, AgentProcess, Record

# 0.73.1 has no `agent_settled` and waits up to 100 ms before it goes on by itself.
QUIET = 0.3
BUSY = {"agent_start", "auto_retry_start", "compaction_start"}
IDLE = {"agent_end", "auto_retry_end", "compaction_end", "agent_settled"}


class PiAgent(AgentProcess):
    """Context manager: one agent process, driven as a user would; every method has a time limit."""

    def wait_idle(self, since: int = 0, timeout: float = TIMEOUT) -> None:
        """Wait until the run that began after `since` is over, its retries and queued messages too."""
        until = time.monotonic() + timeout
        self.wait_event("agent_end", since, timeout)
        while (left := until - time.monotonic()) > 0:
            seen = self.mark()
            last = [record for record in self.records[since:seen] if _marks_run(record)][-1]
            if last["type"] == "agent_settled":
                return
            busy = last["type"] in BUSY or last.get("willRetry")
            if self.arrives(_marks_run, seen, left if busy else QUIET):
                continue
            if not busy and self._is_idle():
                return
        raise AgentError(f"the agent was not idle after {timeout:.0f} s")

    def _is_idle(self) -> bool:
        state = self.request("get_state")
        # Not pendingMessageCount: after an abort 0.73.1 keeps its queue until the next prompt.
        return not (state["isStreaming"] or state["isCompacting"])

    def prompt(self, text: str, images: list[Record] | None = None, timeout: float = TIMEOUT) -> None:
        """Send a user prompt and wait until the agent is idle again."""
        since = self.start_prompt(text, images)
        self.wait_idle(since, timeout)

    def start_prompt(self, text: str, images: list[Record] | None = None) -> int:
        """Send a user prompt and return a mark for `wait_idle`, without waiting for the run."""
        since = self.mark()
        self.request("prompt", message=text, **({"images": images} if images else {}))
        return since

    def steer(self, text: str) -> None:
        """Queue a message for the running agent's next model call."""
        self.request("steer", message=text)

    def follow_up(self, text: str) -> None:
        """Queue a message for when the running agent has finished."""
        self.request("follow_up", message=text)

    def abort(self) -> None:
        """Abort what runs."""
        self.request("abort")

    def bash(self, command: str, **fields: Any) -> Record:
        """Run the user's own `!command`; return its output, exitCode, cancelled, truncated."""
        return self.request("bash", command=command, **fields)

    def set_model(self, model: str, provider: str = "mock") -> None:
        """Switch the model."""
        self.request("set_model", provider=provider, modelId=model)

    def set_thinking_level(self, level: str) -> None:
        """Switch the thinking level."""
        self.request("set_thinking_level", level=level)

    def set_session_name(self, name: str) -> None:
        """Name the session."""
        self.request("set_session_name", name=name)

    def compact(self, instructions: str | None = None) -> Record:
        """Compact the context now; return pi's result."""
        return self.request("compact", **({"customInstructions": instructions} if instructions else {}))

    def get_fork_messages(self) -> list[Record]:
        """Return `{entryId, text}` of each user message that can be forked from."""
        return self.request("get_fork_messages")["messages"]

    def fork(self, entry_id: str) -> Record:
        """Go on in a new session that ends before this user message."""
        return self.request("fork", entryId=entry_id)

    def clone(self) -> Record:
        """Go on in a new session that holds the whole active branch."""
        return self.request("clone")

    def new_session(self) -> None:
        """Go on in an empty session."""
        self.request("new_session")

    def switch_session(self, path: Path) -> None:
        """Go on in the session of that file."""
        self.request("switch_session", sessionPath=str(path))

    def navigate(self, entry_id: str, **options: Any) -> Record:
        """Move to an entry as `/tree` does; options are `summarize`, `customInstructions`, `label`."""
        since = self.mark()
        self.request("prompt", message="/goto " + json.dumps({"entry": entry_id, **options}))
        said = self.wait(lambda r: r.get("method") == "notify" and entry_id in r.get("message", ""), since)
        return json.loads(said["message"])

    def get_session_stats(self) -> Record:
        """Return what pi says that the current session holds and cost."""
        return self.request("get_session_stats")

    def session_file(self) -> Path:
        """The current session's file; it may not exist before the first answer."""
        return Path(self.request("get_state")["sessionFile"])

    def session_files(self) -> list[Path]:
        """Every session file in the agent's home."""
        return self.sandbox.session_files()


def _marks_run(record: Record) -> bool:
    return record.get("type") in BUSY | IDLE
