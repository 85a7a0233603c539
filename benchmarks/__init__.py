"""Benchmarks: measure the goals for speed and memory. The tests do not run them.

- ``python -m benchmarks.speed``: preview, backfill and ``--help``: seconds, peak memory, MB sent a second.
- ``python -m benchmarks.latency``: watch: seconds until an answer is delivered, CPU when idle, memory.
- ``python -m benchmarks.soak``: watch: an hour of traffic in minutes; nothing lost, nothing sent twice.
- ``python -m benchmarks.hostile``: session files that are made to be slow.
- ``python -m benchmarks.ledger``: the ledger with ten million ids; it has no goals.

Each takes ``--json``, and ends with exit code 1 if a goal is missed. They measure with `corpus` (made-up
sessions), `sink` (a PostHog that throws everything away) and `sdk` (PostHog's own SDK).
"""
