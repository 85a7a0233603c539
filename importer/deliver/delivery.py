"""Sends events to PostHog: batches, several requests at once, and what to do about a refusal.

The wire format is that of `POST {host}/batch/` (PostHog capture docs, "Batch events":
https://posthog.com/docs/api/capture). `importer.deliver.endpoint` says which events may go elsewhere.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType

from importer.build.event import Envelope
from importer.deliver.batching import (
    MAX_BATCH_EVENTS,
    MAX_BODY_BYTES,
    BodyFormat,
    Counters,
    Part,
    SendQueue,
    is_historical,
)
from importer.deliver.endpoint import Choice, Routes, Suspect, Suspects
from importer.deliver.packing import Packer
from importer.deliver.parallel import Call, Inline, Say, Threads, Workers
from importer.deliver.retry import Pace, RetryPolicy
from importer.deliver.transport import KEPT, Connection, InDoubt, OnRequest, Reply
from importer.errors import DeliveryError, RefusedError

GRACE_S = 2.0


class Delivery:
    """Takes events one by one and sends them in batches.

    Use it as a context manager. Leaving the block normally sends what still waits; leaving it with an
    exception sends nothing more, and waits for running requests for at most 2 seconds. After any error
    nothing more is sent. All callbacks run in the thread that uses the Delivery::

        with Delivery(host="https://eu.i.posthog.com", api_key=key, on_delivered=remember) as delivery:
            for event in events:
                delivery.add(event)
        print(delivery.counters.delivered)
    """

    def __init__(
        self,
        *,
        host: str,
        api_key: str,
        endpoint: Choice = "batch",
        max_event_bytes: int | None = None,
        parallel: int = 1,
        pace: Pace | None = None,
        set_aside: bool = False,
        retry: RetryPolicy | None = None,
        on_request: OnRequest | None = None,
        on_delivered: Callable[[Sequence[Envelope]], None] | None = None,
        on_retry: Callable[[str, float], None] | None = None,
        on_trimmed: Callable[[Envelope, int], None] | None = None,
        on_failed: Callable[[Envelope, str], None] | None = None,
        stop: threading.Event | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        with_sent_at: bool = True,
    ) -> None:
        """Prepare to send. Nothing is sent yet.

        Args:
            host: PostHog's address, such as `https://us.i.posthog.com`.
            api_key: the project API key. It appears in no message.
            endpoint: whether AI events go to the endpoint for them: `auto` where the server has it.
            max_event_bytes: most bytes of one event; None for as many as the endpoint takes.
            parallel: most requests under way at once.
            pace: how fast events and bytes may go. Without it, as fast as the server takes them.
            set_aside: whether an event that is refused alone with 400 goes to `on_failed` while the others
                go on. Otherwise, and if everything is refused, a 400 ends the delivery.
            retry: how often and how long to try again; the default is `RetryPolicy()`.
            on_request: called with the events of each request before it is made, once for all its tries.
                What it returns is called when PostHog has answered, or the events cannot have reached it.
            on_delivered: called with the events of each accepted request before another one is built.
                What it raises goes through, and nothing more is sent. After a KeyboardInterrupt it may be
                called again with the same events.
            on_retry: called with the reason and the wait in seconds.
            on_trimmed: called with an event that was taken after it was cut, and the limit in bytes.
            on_failed: called with an event that was refused for good, and the reason.
            stop: when set, waiting and sending end with DeliveryStoppedError. With several requests at
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
        self._routes = Routes(endpoint, max_event_bytes)
        self._suspects = Suspects() if set_aside else None
        most = (pace.most, pace.most_bytes) if pace else (MAX_BATCH_EVENTS, MAX_BODY_BYTES)
        self._queue = SendQueue(self._format.overhead, self._routes, *most)
        self._in_doubt = InDoubt(self.counters, on_request)
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
        """Take one event. Send a batch if one is full.

        Raises:
            DeliveryError: PostHog did not take the events, and trying again now would not help.
        """
        self._check_usable()
        self._queue.add(envelope, self._clock())
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
        for lane in self._queue.lanes():
            if self._queue.end_batch(lane):
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
            self._in_doubt.close()
            self._workers.close()

    def _check_usable(self) -> None:
        if self._broken:
            raise DeliveryError(f"Sending ended with an error before; {KEPT}.")

    def _finish(self) -> None:
        """After an error: hear what running requests say, send nothing more."""
        if self._workers.busy:
            self._stop.set()
        if self._unconfirmed:
            with contextlib.suppress(Exception):
                self._on_delivered(self._unconfirmed)
        self._workers.finish(GRACE_S)

    def _send(self, *, under_way: int) -> None:
        """Send the parts in as many requests as it takes; return when at most `under_way` are under way."""
        self._broken = True  # stays so when anything below raises
        self._workers.hear(wait=False)
        while self._queue or self._workers.busy > under_way:
            if self._queue and self._workers.busy < self._workers.most:
                self._launch()
            else:
                self._workers.hear(wait=True)
        if self._suspects and not self._workers.busy:
            self._suspects.check()
        self._broken = False

    def _launch(self) -> None:
        """Start one request with the next part."""
        part, encoded = self._queue.take()
        if not encoded:
            self._shrink(part)
            return
        now_s = self._clock()
        # The clock may have been set back since the events were sorted.
        historical = part.historical and all(is_historical(e.end_ms, now_s) for e in part.envelopes)
        body = self._format.wrap(encoded, now_s=now_s, historical=historical)
        event_bytes, raw_bytes = sum(event.size for event in encoded), sum(map(len, body))
        del encoded
        number = self._in_doubt.begin(part.envelopes)

        def job(connection: Connection, say: Say) -> Call:
            try:
                reply = connection.post(
                    part.endpoint.path,
                    body,
                    len(part.envelopes),
                    lambda before: say(lambda: self._count_try(number, before)),
                    lambda reason, wait_s: say(lambda: self._retry_later(number, reason, wait_s)),
                    lambda: say(lambda: self._in_doubt.note_lost(number)),
                )
            except RefusedError as error:
                return partial(self._on_refusal, number, part, error)
            except DeliveryError:
                say(lambda: self._in_doubt.end(number, is_answered=False))
                raise
            return lambda: self._on_reply(number, part, reply, event_bytes, raw_bytes)

        self._workers.start(job)

    def _on_reply(self, number: int, part: Part, reply: Reply, event_bytes: int, raw_bytes: int) -> None:
        if reply.taken:
            self.counters.event_bytes += event_bytes
            self.counters.raw_bytes += raw_bytes
            self.counters.gzip_bytes += reply.gzip_bytes
            self._taken(part)
        elif not self._queue.put_halves(part):
            self._shrink(part)
        self._in_doubt.end(number, is_answered=True)

    def _on_refusal(self, number: int, part: Part, error: RefusedError) -> None:
        """Send again by another endpoint or in smaller batches what may be taken that way."""
        self._in_doubt.end(number, is_answered=True)
        if self._routes.give_up(part.endpoint, error.status):
            self._queue.reroute(part)
        elif error.status != 400 or self._suspects is None:
            raise error
        elif not self._queue.put_halves(part):
            self._report(self._suspects.note_refused(part.envelopes[0], error))

    def _shrink(self, part: Part) -> None:
        """Send a single event in its next smaller size, or report it."""
        refused = self._queue.put_smaller(part)
        if refused is not None:
            self.counters.failed += 1
            reason = f"PostHog refused the event as too large, even cut to {refused} bytes"
            self._on_failed(part.envelopes[0], reason)

    def _taken(self, part: Part) -> None:
        self._unconfirmed = part.envelopes  # until the callback returns: it may fail
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

    def _retry_later(self, number: int, reason: str, wait_s: float) -> None:
        self._in_doubt.note_try(number, is_under_way=False)
        self._on_retry(reason, wait_s)

    def _count_try(self, number: int, before: int) -> None:
        self._in_doubt.note_try(number, is_under_way=True)
        self.counters.requests += 1
        self.counters.retries += before > 0


def _ignore(*_: object) -> None:
    """Stand in for a callback that was not given."""
