"""Delivery in the background: a bounded queue, batches that leave within moments, retries without end.

The queue refuses events when it is full. They are not lost: the session files still hold whatever is not in
the ledger. So memory stays flat however long PostHog is away.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path

from importer.build.event import Envelope
from importer.build.person import make_identify_event
from importer.deliver.batching import MAX_BATCH_EVENTS, Counters
from importer.deliver.building import note_trimmed
from importer.deliver.delivery import Delivery
from importer.deliver.retry import RetryPolicy, wait
from importer.errors import DeliveryStoppedError, LedgerError, Pi2PosthogError
from importer.ledger.attempts import UnderWay, date_identify, find_unanswered
from importer.ledger.ledger import UNKNOWN_DESTINATION, Ledger
from importer.plan.progress import Progress
from importer.settings import Settings

LINGER_S = 0.3  # how long the first event of a batch waits for more
CAPACITY = 1_000  # events
CAPACITY_BYTES = 16 * 1024 * 1024  # of session files that waiting events keep in memory
ENDLESS = RetryPolicy(attempts=2**31, first_s=0.5, max_s=60.0)


class Sender:
    """Sends events from a thread of its own and records each yes in the ledger.

    Args:
        settings: where to send.
        api_key: the project API key; no message holds it.
        ledger_path: the ledger; no other process may write it.
        on_change: called from the thread after each change of ``progress``.
        retry: how often to try again; without end by default.
        say: takes a line about an event that was cut or refused for good; called from the thread.

    Attributes:
        progress: how far the delivery is since the start; ``left`` events are queued or on their way.
        identified_ms: the time of the person's ``$identify`` in ms since the epoch, once started.
        earlier_unanswered: events that an earlier run sent without an answer, once started.
        counters: what the delivery did so far, in numbers.

    Example:
        >>> sender = Sender(settings, "phc_…", Path("ledger.sqlite3"))
        >>> sender.start()
        >>> sender.offer(event, source_bytes=20_000)
        True
        >>> sender.close(timeout_s=5.0)
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
        self._waiting_s = 0.0  # when the first event of the queue began to wait, by time.monotonic()
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
        self.identified_ms = 0
        self.earlier_unanswered = 0
        self.counters = Counters()

    def start(self) -> None:
        """Open the ledger and start the thread.

        Raises:
            UsageError: another process holds the ledger, or the file is no ledger.
        """
        self._thread.start()
        self._opened.wait()
        self.check()
        self._reading = Ledger.open_beside(self._ledger_path)
        self._destination = self._reading.destination_id(self._settings.host, self._api_key)

    def find_delivered(self, uuids: Sequence[str]) -> set[str]:
        """Find the events that were delivered, by this process or an earlier one.

        Call it from the thread that called :meth:`start`.
        """
        return self._reading.delivered(self._destination, uuids) if self._reading else set()

    def offer(self, event: Envelope, source_bytes: int) -> bool:
        """Queue an event; one that is queued or on its way already counts as taken.

        Args:
            event: the event.
            source_bytes: size of its session, which the event keeps in memory.

        Returns:
            False if the queue is full; offer the event again later.
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
        """Tell whether a refused file of ``source_bytes`` may be read again: the queue is half empty."""
        with self._changed:
            held = sum(self._source_bytes.values())
            return len(self._pending) <= CAPACITY // 2 and (not held or held + source_bytes <= CAPACITY_BYTES)

    def is_pending(self, uuid: str) -> bool:
        """Tell whether an event is queued or on its way."""
        with self._changed:
            return uuid in self._pending

    def check(self) -> None:
        """Raise the error that ended the delivery, if one did.

        Raises:
            Pi2PosthogError: PostHog or the ledger refuses for good.
        """
        if self._failure is not None:
            raise self._failure

    def close(self, timeout_s: float) -> None:
        """Deliver what waits, for at most ``timeout_s`` seconds, and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        self._stop.set()
        # Wait for the answer to a running request: the ledger must learn what PostHog took.
        self._thread.join(1.0)
        if self._reading:
            self._reading.close()

    def drain(self, timeout_s: float) -> bool:
        """Wait for the queue to be delivered, for at most ``timeout_s`` seconds; return whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._pending, timeout_s)

    def _run(self) -> None:
        try:
            with Ledger.open(self._ledger_path) as ledger:
                destination = ledger.destination_id(self._settings.host, self._api_key)
                self._note = lambda error: ledger.note_error(destination, error, round(time.time() * 1000))
                self.earlier_unanswered = len(find_unanswered(ledger, destination))
                if identify := make_identify_event(self._settings):
                    now_ms = round(time.time() * 1000)
                    self.identified_ms = date_identify(ledger, destination, identify.uuid, now_ms)
                under_way = UnderWay(ledger, destination)
                under_way.forget_delivered()
                self._opened.set()

                def record(envelopes: Sequence[Envelope]) -> None:
                    uuids, now_ms = [envelope.uuid for envelope in envelopes], round(time.time() * 1000)
                    self._retry_write(lambda: ledger.record(destination, uuids, now_ms))
                    self._note_delivered(envelopes, now_ms)

                with Delivery(
                    host=self._settings.host,
                    api_key=self._api_key,
                    endpoint=self._settings.endpoint,
                    max_event_bytes=self._settings.max_event_bytes,
                    set_aside=True,
                    retry=self._retry,
                    on_request=lambda envelopes: under_way.begin(e.uuid for e in envelopes),
                    on_delivered=record,
                    on_retry=self._note_retry,
                    on_trimmed=self._note_trimmed,
                    on_failed=self._note_refused,
                    stop=self._stop,
                ) as delivery:
                    self.counters = delivery.counters
                    while batch := self._take_batch():
                        for envelope in batch:
                            delivery.add(envelope)
                        delivery.flush()
        except DeliveryStoppedError:
            pass
        except BaseException as error:
            self._failure = error if isinstance(error, Pi2PosthogError) else _hide_error(error)
        finally:
            self._opened.set()
            with self._changed:
                self._changed.notify_all()
            self._on_change()

    def _take_batch(self) -> list[Envelope]:
        """Wait for events, then a moment for more; an empty batch means closed and everything sent."""
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
        """Remove events that no longer wait. The caller holds the lock."""
        for envelope in envelopes:
            self._pending.discard(envelope.uuid)
            self._sources[envelope.source] -= 1
            if not self._sources[envelope.source]:
                del self._sources[envelope.source], self._source_bytes[envelope.source]
        self._changed.notify_all()

    def _note_delivered(self, envelopes: Sequence[Envelope], now_ms: int) -> None:
        with self._changed:
            self._release(envelopes)
            self.progress.delivered += len(envelopes)
            self.progress.last_ms, self.progress.error = now_ms, ""
        self._on_change()

    def _retry_write(self, record: Callable[[], None]) -> None:
        """Write to the ledger, again and again if it fails (full disk); nothing is sent meanwhile."""
        for failures in range(1, self._retry.attempts + 1):
            try:
                record()
                return
            except LedgerError as error:
                if failures >= self._retry.attempts:
                    raise
                wait_s = self._retry.wait_s(failures)
                self._note_retry(f"delivery pauses: {error}", wait_s)
                wait(wait_s, stop=self._stop, sleep=time.sleep)

    def _note_retry(self, reason: str, wait_s: float) -> None:
        with contextlib.suppress(LedgerError):  # the ledger itself may be the trouble
            self._note(reason)
        self.progress.error = reason
        self.progress.retry_at = time.monotonic() + wait_s
        self._on_change()

    def _note_trimmed(self, envelope: Envelope, limit: int) -> None:
        self._say(note_trimmed(envelope, limit))

    def _note_refused(self, envelope: Envelope, reason: str) -> None:
        line = f"{envelope.event} {envelope.uuid} not delivered: {reason}"
        with contextlib.suppress(LedgerError):
            self._note(line)
        self._say(f"{envelope.source}: {line}")
        with self._changed:
            self._release([envelope])
            self.progress.failed += 1
            self.progress.error = ""  # PostHog answers, and the line above stays on the screen
        self._on_change()


def _hide_error(error: BaseException) -> Pi2PosthogError:
    """Replace an unexpected error by its type: its text may hold a prompt or the key."""
    return Pi2PosthogError(f"delivery ended unexpectedly: {type(error).__name__}")
