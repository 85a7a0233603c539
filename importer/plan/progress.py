"""How far an import is: the one report of preview, backfill, watch and cluster, which the screen shows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Progress:
    """How far an import is.

    Whoever counts or sends hands one to a function that shows it; what is not known yet is 0 or empty::

        make_plan(found, settings, now_ms=now_ms, on_progress=lambda progress: print(progress.files))

    Attributes:
        files, all_files: session files done, and in all.
        bytes_read, all_bytes: bytes of those files.
        planned: events to deliver; 0 while files are only counted.
        delivered, failed: events that PostHog took, and those that it refused for good.
        planned_bytes, bytes: bytes of the events' JSON, to deliver (an estimate) and delivered.
        error: why the last request failed; empty once one has succeeded.
        retry_at: when the next request will be made, in seconds of `time.monotonic`; 0 for no such time.
        last_ms: when PostHog last took a batch, in ms since the epoch.
    """

    files: int = 0
    all_files: int = 0
    bytes_read: int = 0
    all_bytes: int = 0
    planned: int = 0
    delivered: int = 0
    failed: int = 0
    planned_bytes: int = 0
    bytes: int = 0
    error: str = ""
    retry_at: float = 0.0
    last_ms: int | None = None

    @property
    def cost_usd(self) -> float:
        """What the delivered generations cost, in US dollars; 0 if nobody adds it up."""
        return 0.0

    @property
    def retries(self) -> int:
        """Requests that had to be made again; 0 if nobody counts them."""
        return 0

    @property
    def left(self) -> int:
        """Events that were neither delivered nor refused yet."""
        return self.planned - self.delivered - self.failed
