"""A Dask cluster of worker processes on the loopback, run in a process of its own that writes a log."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.command import ROOT


@dataclass
class RunningCluster:
    """A running cluster: its address, the process ids of its first workers, its log and its process."""

    address: str
    pids: list[int]
    log: Path
    process: subprocess.Popen[str]

    def kill_worker(self, number: int = 0) -> None:
        """Kill a worker process; its nanny starts another one."""
        os.kill(self.pids[number], signal.SIGKILL)

    def stop(self) -> None:
        """Stop the scheduler and all workers."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@contextlib.contextmanager
def dask_cluster(folder: Path, workers: int, **environment: str) -> Iterator[RunningCluster]:
    """Run a cluster of workers with one thread each; ``environment`` is added to theirs."""
    log = folder / "dask.log"
    own = {"PYTHONPATH": str(ROOT), "DASK_CONFIG": str(folder), "NO_PROXY": "*", **environment}
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.dask_cluster", str(workers)],
            env=dict(os.environ) | own,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            encoding="utf-8",
            start_new_session=True,
        )
    assert process.stdout is not None
    said = process.stdout.readline()
    assert said, log.read_text()
    address, pids = json.loads(said)
    cluster = RunningCluster(address, pids, log, process)
    try:
        yield cluster
    finally:
        cluster.stop()
        process.stdout.close()


def main() -> None:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=int(sys.argv[1]), threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(int(sys.argv[1]), timeout=50)
        pids = list(client.run(os.getpid).values())
        print(json.dumps([cluster.scheduler_address, pids]), flush=True)
        client.close()
        sys.stdin.read()


if __name__ == "__main__":
    main()
