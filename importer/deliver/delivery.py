"""Sends events to PostHog: batches, several requests at once, and what to do about a refusal.

The wire format is that of `POST {host}/batch/` (PostHog capture docs, "Batch events":
https://posthog.com/docs/api/capture); `importer.deliver.endpoint` says which events may go elsewhere.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType

from importer.build.envelope import Envelope
from importer.deliver.batching import MAX_BATCH_EVENTS, Batch, BodyFormat, Part, encode_fitting, is_historical
from importer.deliver.counters import Counters
from importer.deliver.endpoint import BATCH, Choice, Endpoint, Routes, Suspect, Suspects
from importer.deliver.packing import Packer
from importer.deliver.parallel import Call, Inline, Say, Threads, Workers
from importer.deliver.retry import Pace, RetryPolicy
from importer.deliver.transport import KEPT, Connection, Reply
from importer.errors import DeliveryError, RefusedError

GRACE_S = 2.0


class Delivery:
    """Takes events one by one and sends them in batches.

    Use it as a context manager: leaving the block normally sends what still waits; leaving it with an
    exception sends nothing more, and hears what is under way for at most 2 seconds. After any error nothing
    more is sent. All callbacks are called in the thread that uses the Delivery.
    """

    def __init__(
        self,
        *,
        host: str,
        api_key: str,
        endpoint: Choice = "batch",
        parallel: int = 1,
        pace: Pace | None = None,
        set_aside: bool = False,
        retry: RetryPolicy | None = None,
        on_delivered: Callable[[Sequence[Envelope]], None] | None = None,
        on_retry: Callable[[str, float], None] | None = None,
        on_trimmed: Callable[[Envelope, int], None] | None = None,
        on_failed: Callable[[Envelope, str], None] | None = None,
        stop: threading.Event | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        with_sent_at: bool = True,
    ) -> None:
        """Prepare to send; nothing is sent yet.

        Args:
            host: PostHog's address, such as `https://us.i.posthog.com`.
            api_key: the project API key; it appears in no message.
            endpoint: whether AI events go to the endpoint for them: `auto` where the server has it.
            parallel: requests that may be under way at once.
            pace: how fast events may go; without it, as fast as the server takes them.
            set_aside: whether an event that is refused alone with 400 is reported to `on_failed` and the
                others go on; otherwise, and when everything is refused, a 400 ends the delivery.
            retry: how often and how long to try again; the default is `RetryPolicy()`.
            on_delivered: called with the events of each accepted request before another one is built;
                what it raises goes through, and nothing more is sent. After a KeyboardInterrupt it may be
                called again with the same events.
            on_retry: called with the reason and the seconds that will be waited.
            on_trimmed: called with an event that was taken after being cut, and the limit in bytes.
            on_failed: called with an event that was refused for good, and the reason.
            stop: when set, waiting and sending end with DeliveryStoppedError; with several requests at
                once, an error sets it, too.
            clock: gives seconds since the epoch.
            sleep: waits that many seconds.
            with_sent_at: whether bodies carry `sent_at`. PostHog then moves every event's time by the
                difference between its own clock and `sent_at`, except for events whose properties hold
                `$ignore_sent_at: true` (PostHog's capture service, rust/capture/src/timestamp.rs).
        """
        self.counters = Counters()
        self._on_delivered = on_delivered or _ignore
        self._on_retry = on_retry or _ignore
        self._on_trimmed = on_trimmed or _ignore
        self._on_failed = on_failed or _ignore
        self._clock = clock
        self._format = BodyFormat(api_key, with_sent_at=with_sent_at)
        self._routes = Routes(endpoint)
        self._suspects = Suspects() if set_aside else None
        self._most_events = pace.most if pace else MAX_BATCH_EVENTS
        # Old and new events wait apart, for only old ones may go as a historical migration.
        self._waiting: dict[tuple[Endpoint, bool], Batch] = {}
        self._parts: list[Part] = []  # the next one is the last
        self._unconfirmed: Sequence[Envelope] = ()
        self._broken = False
        stop = stop or threading.Event()
        self._stop = stop
        packer = Packer()
        connections = [
            Connection(host, api_key, retry or RetryPolicy(), stop, sleep, pace, packer)
            for _ in range(max(1, parallel))
        ]
        self._workers: Workers = Threads(connections, stop) if parallel > 1 else Inline(connections[0])

    def __enter__(self) -> Delivery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._broken = True
        self.close()

    def add(self, envelope: Envelope) -> None:
        """Take one event; sends a batch when one is full.

        Raises:
            DeliveryError: PostHog did not take the events, and trying again now would not help.
        """
        self._check_usable()
        lane = (self._routes.choose(envelope), is_historical(envelope.end_ms, self._clock()))
        batch = self._waiting.get(lane)
        if batch is None:
            batch = self._waiting[lane] = Batch(self._format.overhead, lane[0], self._most_events)
        if not batch.fits(envelope):
            self._parts.append(Part(batch.take(), *lane))
        batch.append(envelope)
        if envelope.event == "$identify":
            self.flush()  # the person comes before the events, which may go by other requests
        else:
            self._send(under_way=self._workers.most)

    def flush(self) -> None:
        """Send everything that waits.

        Raises:
            DeliveryError: as in `add`.
        """
        self._check_usable()
        for lane in sorted(self._waiting, key=lambda lane: (lane[0].path, not lane[1])):
            if batch := self._waiting.get(lane):
                self._parts.append(Part(batch.take(), *lane))
                self._send(under_way=self._workers.most)
        self._send(under_way=0)

    def close(self) -> None:
        """Send everything that waits, unless an error came before, and close the connections.

        Raises:
            DeliveryError: as in `add`.
        """
        try:
            if not self._broken:
                self.flush()
        finally:
            if self._broken or self._workers.busy:
                self._finish()
            self._workers.close()

    def _check_usable(self) -> None:
        if self._broken:
            raise DeliveryError(f"Sending ended with an error before; {KEPT}.")

    def _finish(self) -> None:
        """After an error: keep what is still being acknowledged, send nothing more."""
        if self._workers.busy:
            self._stop.set()
        if self._unconfirmed:
            with contextlib.suppress(Exception):
                self._on_delivered(self._unconfirmed)
        self._workers.finish(GRACE_S)

    def _send(self, *, under_way: int) -> None:
        """Send the parts in as many requests as it takes; returns when at most so many are under way."""
        self._broken = True  # stays so when anything below raises
        self._workers.hear(wait=False)
        while self._parts or self._workers.busy > under_way:
            if self._parts and self._workers.busy < self._workers.most:
                self._launch(self._parts.pop())
            else:
                self._workers.hear(wait=True)
        if self._suspects and not self._workers.busy:
            self._suspects.check()
        self._broken = False

    def _launch(self, part: Part) -> None:
        """Send one request with as many of the part's events as it holds."""
        if self._routes.lacks(part.endpoint):
            part = Part(part.envelopes, BATCH, part.historical)
        encoded = encode_fitting(part, self._format.overhead)
        if len(encoded) < len(part.envelopes):
            part, rest = part.split(len(encoded) or 1)
            if rest.envelopes:
                self._parts.append(rest)
        if not encoded:
            self._shrink(part)
            return
        now_s = self._clock()
        # The clock may have been set back since the events were sorted.
        historical = part.historical and all(is_historical(e.end_ms, now_s) for e in part.envelopes)
        body = self._format.wrap(encoded, now_s=now_s, historical=historical)
        event_bytes, raw_bytes = sum(event.size for event in encoded), sum(map(len, body))
        del encoded

        def job(connection: Connection, say: Say) -> Call:
            try:
                reply = connection.post(
                    part.endpoint.path,
                    body,
                    len(part.envelopes),
                    lambda before: say(lambda: self._count_try(before)),
                    lambda reason, wait_s: say(lambda: self._on_retry(reason, wait_s)),
                )
            except RefusedError as error:
                return partial(self._on_refusal, part, error)
            return lambda: self._on_reply(part, reply, event_bytes, raw_bytes)

        self._workers.start(job)

    def _on_reply(self, part: Part, reply: Reply, event_bytes: int, raw_bytes: int) -> None:
        if reply.taken:
            self.counters.event_bytes += event_bytes
            self.counters.raw_bytes += raw_bytes
            self.counters.gzip_bytes += reply.gzip_bytes
            self._taken(part)
        elif not self._halved(part):
            self._shrink(part)

    def _on_refusal(self, part: Part, error: RefusedError) -> None:
        """Queue for other requests what another endpoint, or a smaller batch, may get through."""
        if self._routes.give_up(part.endpoint, error.status):
            self._reroute(part)
        elif error.status != 400 or self._suspects is None:
            raise error
        elif not self._halved(part):
            self._report(self._suspects.note_refused(part.envelopes[0], error))

    def _halved(self, part: Part) -> bool:
        """Queue the halves of a part, unless it is a single event."""
        if len(part.envelopes) == 1:
            return False
        self._parts += part.split(len(part.envelopes) // 2)[::-1]
        return True

    def _shrink(self, part: Part) -> None:
        """Queue a single event in its next smaller size, or report it."""
        (envelope,) = part.envelopes
        refused = len(part.encoded) or part.endpoint.size_of(envelope)
        for limit in part.endpoint.trim_limits:
            if limit < refused and len(data := envelope.trimmed(limit)) < refused:
                self._parts.append(Part([envelope], part.endpoint, part.historical, limit, data))
                return
        self.counters.failed += 1
        self._on_failed(envelope, f"PostHog refused the event as too large, even cut to {refused} bytes")

    def _reroute(self, part: Part) -> None:
        """Queue a part for `/batch/`, and what waits for the endpoint that is not there; built anew there."""
        for (endpoint, historical), batch in self._waiting.items():
            if self._routes.lacks(endpoint) and batch:
                self._parts.append(Part(batch.take(), BATCH, historical))
        self._parts.append(Part(part.envelopes, BATCH, part.historical))

    def _taken(self, part: Part) -> None:
        self._unconfirmed = part.envelopes  # before anything is told: what tells may fail
        self.counters.delivered += len(part.envelopes)
        self._on_delivered(part.envelopes)
        self._unconfirmed = ()
        if part.limit is not None:
            self.counters.trimmed += 1
            self._on_trimmed(part.envelopes[0], part.limit)
        else:
            self.counters.shortened += sum(map(part.endpoint.cuts, part.envelopes))
        if self._suspects:
            self._report(self._suspects.note_accepted())

    def _report(self, suspects: Sequence[Suspect]) -> None:
        for envelope, error in suspects:
            self.counters.failed += 1
            self._on_failed(envelope, f"PostHog refused this event alone with {error.status}{error.says}")

    def _count_try(self, before: int) -> None:
        self.counters.requests += 1
        self.counters.retries += before > 0


def _ignore(*_: object) -> None:
    """Nobody wants to know."""
