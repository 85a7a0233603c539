"""Delivery in the background: a bounded queue, batches that leave within moments, retries without end.

The queue may refuse events. Nothing is lost by that: whatever is not in the ledger can be read again from
the session files, so memory stays flat however long PostHog is away.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path

from importer.build.event import Envelope
from importer.deliver.batching import MAX_BATCH_EVENTS
from importer.deliver.delivery import Delivery
from importer.deliver.retry import RetryPolicy, wait
from importer.errors import DeliveryStoppedError, LedgerError, Pi2PosthogError
from importer.ledger.ledger import UNKNOWN_DESTINATION, Ledger
from importer.plan.progress import Progress
from importer.settings import Settings

LINGER_S = 0.3
CAPACITY = 1_000
CAPACITY_BYTES = 16 * 1024 * 1024  # of session files that waiting events hold in memory
ENDLESS = RetryPolicy(attempts=2**31, first_s=0.5, max_s=60.0)


class Sender:
    """Sends events from a thread of its own and records each yes in the ledger.

    Args:
        settings: where to send.
        api_key: the project API key.
        ledger_path: the ledger; this process must be the only one that writes it.
        on_change: called from the thread whenever the state changed.
        retry: how often to try again; the default is to go on for ever.
        say: takes a line about one event, from the thread: it was cut, or refused for good.

    Attributes:
        progress: how far the delivery is since the start; ``left`` events are queued or on their way.
    """

    def __init__(
        self,
        settings: Settings,
        api_key: str,
        ledger_path: Path,
        on_change: Callable[[], None] = lambda: None,
        retry: RetryPolicy = ENDLESS,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._say = say
        self._retry = retry
        self._settings = settings
        self._api_key = api_key
        self._ledger_path = ledger_path
        self._on_change = on_change
        self._queue: deque[Envelope] = deque()
        self._sources: Counter[str] = Counter()
        self._source_bytes: dict[str, int] = {}
        self._pending: set[str] = set()
        self._waiting_s = 0.0  # since when the first event of the queue waits
        self._changed = threading.Condition()
        self._closing = False
        self._stop = threading.Event()
        self._opened = threading.Event()
        self._failure: BaseException | None = None
        self._reading: Ledger | None = None
        self._destination = UNKNOWN_DESTINATION
        self._note: Callable[[str], None] = lambda error: None
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)
        self.progress = Progress()

    def start(self) -> None:
        """Open the ledger and begin.

        Raises:
            UsageError: another process has the ledger, or it is no ledger.
        """
        self._thread.start()
        self._opened.wait()
        self.check()
        self._reading = Ledger.open_beside(self._ledger_path)
        self._destination = self._reading.destination_id(self._settings.host, self._api_key)

    def delivered(self, uuids: Sequence[str]) -> set[str]:
        """Which events were delivered, now or in an earlier life; for the thread that called `start`."""
        return self._reading.delivered(self._destination, uuids) if self._reading else set()

    def offer(self, event: Envelope, source_bytes: int) -> bool:
        """Queue an event.

        Args:
            event: what to send.
            source_bytes: bytes of its session, which it keeps in memory.

        Returns:
            False if the queue is full: the caller reads the event again later.
        """
        with self._changed:
            if event.uuid in self._pending:
                return True
            others = sum(size for source, size in self._source_bytes.items() if source != event.source)
            if len(self._pending) >= CAPACITY or (others and others + source_bytes > CAPACITY_BYTES):
                return False
            self._sources[event.source] += 1
            self._source_bytes[event.source] = source_bytes
            self._pending.add(event.uuid)
            if not self._queue:
                self._waiting_s = time.monotonic()
            self._queue.append(event)
            self.progress.planned += 1
            self._changed.notify_all()
        return True

    def has_room(self, source_bytes: int) -> bool:
        """Whether the queue is empty enough to read a file of that size again, of which it refused events."""
        with self._changed:
            held = sum(self._source_bytes.values())
            return len(self._pending) <= CAPACITY // 2 and (not held or held + source_bytes <= CAPACITY_BYTES)

    def is_pending(self, uuid: str) -> bool:
        """Whether an event is queued or on its way."""
        with self._changed:
            return uuid in self._pending

    def check(self) -> None:
        """Raise what ended the delivery, if anything did."""
        if self._failure is not None:
            raise self._failure

    def close(self, timeout_s: float) -> None:
        """Deliver what waits, for at most ``timeout_s`` seconds, and end."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        self._stop.set()
        # A request under way is not cut off: its answer decides whether the ledger learns of it.
        self._thread.join(1.0)
        if self._reading:
            self._reading.close()

    def drain(self, timeout_s: float) -> bool:
        """Wait until nothing waits any more, at most that many seconds; tell whether nothing does."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._pending, timeout_s)

    def _run(self) -> None:
        try:
            with Ledger.open(self._ledger_path) as ledger:
                destination = ledger.destination_id(self._settings.host, self._api_key)
                self._note = lambda error: ledger.note_error(destination, error, round(time.time() * 1000))
                self._opened.set()

                def delivered(envelopes: Sequence[Envelope]) -> None:
                    uuids, now_ms = [envelope.uuid for envelope in envelopes], round(time.time() * 1000)
                    self._until_it_can(lambda: ledger.record(destination, uuids, now_ms))
                    self._delivered(envelopes, now_ms)

                with Delivery(
                    host=self._settings.host,
                    api_key=self._api_key,
                    endpoint=self._settings.endpoint,
                    set_aside=True,
                    retry=self._retry,
                    on_delivered=delivered,
                    on_retry=self._retrying,
                    on_trimmed=self._trimmed,
                    on_failed=self._refused,
                    stop=self._stop,
                ) as delivery:
                    while batch := self._next_batch():
                        for envelope in batch:
                            delivery.add(envelope)
                        delivery.flush()
        except DeliveryStoppedError:
            pass
        except BaseException as error:
            self._failure = error if isinstance(error, Pi2PosthogError) else _unexpected(error)
        finally:
            self._opened.set()
            with self._changed:
                self._changed.notify_all()
            self._on_change()

    def _next_batch(self) -> list[Envelope]:
        """Wait for events, then a moment for more of them; empty once everything is sent and we close."""
        with self._changed:
            while not self._queue and not self._closing:
                self._changed.wait()
            while len(self._queue) < MAX_BATCH_EVENTS and not self._closing:
                left = self._waiting_s + LINGER_S - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            return [self._queue.popleft() for _ in range(min(MAX_BATCH_EVENTS, len(self._queue)))]

    def _release(self, envelopes: Sequence[Envelope]) -> None:
        """Let go of events that wait no longer; the caller holds the lock."""
        for envelope in envelopes:
            self._pending.discard(envelope.uuid)
            self._sources[envelope.source] -= 1
            if not self._sources[envelope.source]:
                del self._sources[envelope.source], self._source_bytes[envelope.source]
        self._changed.notify_all()

    def _delivered(self, envelopes: Sequence[Envelope], now_ms: int) -> None:
        with self._changed:
            self._release(envelopes)
            self.progress.delivered += len(envelopes)
            self.progress.last_ms, self.progress.error = now_ms, ""
        self._on_change()

    def _until_it_can(self, record: Callable[[], None]) -> None:
        """Write to the ledger; while it cannot be written (full disk), nothing more is sent."""
        for failures in range(1, self._retry.attempts + 1):
            try:
                record()
                return
            except LedgerError as error:
                if failures >= self._retry.attempts:
                    raise
                wait_s = self._retry.wait_s(failures)
                self._retrying(f"delivery pauses: {error}", wait_s)
                wait(wait_s, stop=self._stop, sleep=time.sleep)

    def _retrying(self, reason: str, wait_s: float) -> None:
        with contextlib.suppress(LedgerError):  # it may be the ledger that is in trouble
            self._note(reason)
        self.progress.error = reason
        self.progress.retry_at = time.monotonic() + wait_s
        self._on_change()

    def _trimmed(self, envelope: Envelope, limit: int) -> None:
        self._say(f"{envelope.source}: {envelope.event} {envelope.uuid} was cut to {limit} bytes")

    def _refused(self, envelope: Envelope, reason: str) -> None:
        line = f"{envelope.event} {envelope.uuid} not delivered: {reason}"
        with contextlib.suppress(LedgerError):
            self._note(line)
        self._say(f"{envelope.source}: {line}")
        with self._changed:
            self._release([envelope])
            self.progress.failed += 1
            self.progress.error = ""  # PostHog is there, and the line above stays
        self._on_change()


def _unexpected(error: BaseException) -> Pi2PosthogError:
    return Pi2PosthogError(f"delivery ended unexpectedly: {type(error).__name__}")
