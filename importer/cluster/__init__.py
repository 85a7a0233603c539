"""The same plan and the same delivery on the machines of a Dask cluster.

Workers count session files (`count`) and send the events of shares of them (`backfill`); this process keeps
the plan, its totals and the ledger. `client` is the connection, `messages` says what both sides tell each
other, and `work` holds the two tasks that workers run. Nothing here adds up tokens or dollars: the plan does.
"""
