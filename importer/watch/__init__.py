"""The live tail: follow session files as they grow and send each new event once.

A change takes this way through the room:

1. `observing` learns from the platform (or by polling) which files changed; `registry` finds by stat what no
   observer reported.
2. `tail` reads the new complete lines of one file into records and builds their events.
3. `calls` adds up the tokens and dollars of the model calls, for a trace, a session and the current day.
4. `outbox` leaves out what was delivered before and queues the rest in the order of the file.
5. `sender` delivers the queue from a thread of its own and records each yes in the ledger.

`watcher` runs these steps once a second and after every change.
"""
