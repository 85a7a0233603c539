"""Send events with PostHog's own Python SDK, and print the seconds as JSON.

    python -m benchmarks.sdk EVENTS.jsonl ADDRESS [--gzip]

The events are those of `pi2posthog backfill --output`, and are read before the clock starts. The SDK runs
with its defaults, so bodies are compressed only with `--gzip`. Needs the extra `bench`; without it the exit
code is 3.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

MISSING = 3  # the exit code where the SDK is not installed


def send(sdk: Any, events: list[dict[str, Any]], address: str, *, gzip: bool) -> float:
    """Send events with the SDK; return the seconds from the first event until all are sent."""
    began_s = time.perf_counter()
    client = sdk.Posthog("phc_benchmark", host=address, max_queue_size=len(events) + 1, gzip=gzip)
    # capture_ai takes events of up to 8 MiB, capture drops those over 900 KiB; older versions lack the first.
    capture = getattr(client, "capture_ai", client.capture)
    for event in events:
        capture(
            event["event"],
            distinct_id=event["distinct_id"],
            properties=event["properties"],
            timestamp=event["timestamp"],
            uuid=event["uuid"],
        )
    client.shutdown()
    return time.perf_counter() - began_s


def main() -> int:
    """Send the events of a file and print the seconds."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("events", type=Path)
    parser.add_argument("address")
    parser.add_argument("--gzip", action="store_true", help="compress the bodies, as pi2posthog does")
    asked = parser.parse_args()
    try:
        sdk = importlib.import_module("posthog")
    except ImportError:
        return MISSING
    with asked.events.open("rb") as file:
        events = [json.loads(line) for line in file]
    seconds = send(sdk, events, asked.address, gzip=asked.gzip)
    print(json.dumps({"events": len(events), "seconds": seconds}))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
