"""The connection to a Dask cluster, and one line for each way in which it fails."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
import uuid
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent import futures
from typing import TYPE_CHECKING, Any

from importer.cluster.messages import Parcel, own_version
from importer.errors import Pi2PosthogError, UsageError
from importer.quoting import printable, quoted

if TYPE_CHECKING:
    from distributed import Client, Future

AHEAD = 3  # tasks a thread that are submitted and not finished
PARTS = 12  # tasks a thread in all, so that all threads end at about the same time
GOES_ON = "nothing delivered so far is lost: run the same command again to go on"
CancelledError = asyncio.CancelledError  # raised for a lost task or connection; it is no Exception

_ADDRESS = re.compile(r"(?:tcp|tls)://[^\s/@]+:\d{1,5}/?")
_CONNECT_S = 5.0
_ANSWER_S = 30.0
_LOOK_S = 2.0
_WITHOUT_WORKERS_S = 30.0
_INSTALL = "pip install 'pi2posthog[dask]'"


class Cluster:
    """A connection to a scheduler whose workers have this version of the program.

    Every method raises a Pi2PosthogError of one line if the cluster fails.

    Args:
        address: the scheduler's address, such as ``tcp://10.0.0.1:8786``.
        client: Dask's client of it.

    Example:
        >>> with connect_cluster("tcp://10.0.0.1:8786") as cluster:
        ...     future = cluster.submit(count, (files, settings, estimator, now_ms))
        ...     counted = cluster.result(future)
    """

    def __init__(self, address: str, client: Client) -> None:
        self._address = address
        self._client = client
        self._run = uuid.uuid4().hex
        self._submitted = 0
        self._looked_s = self._alive_s = time.monotonic()

    def count_threads(self) -> dict[str, int]:
        """Count the threads of each worker, by the worker's address.

        Raises:
            Pi2PosthogError: the scheduler does not answer.
        """
        found: dict[str, int] = self._ask(self._client.scheduler.ncores)
        return found

    def submit(
        self, task: Callable[[Parcel], Parcel], work: object, workers: Collection[str] | None = None
    ) -> Future[Parcel]:
        """Submit a task.

        Args:
            task: a function of :mod:`importer.cluster.work`.
            work: what the task gets, in a :class:`Parcel`.
            workers: addresses of the workers that may run it; None: all.
        """
        self._submitted += 1
        name = f"pi2posthog-{task.__name__}-{self._run}-{self._submitted}"
        chosen = list(workers) if workers is not None else None
        with self.explain_errors():
            return self._client.submit(task, Parcel(work), key=name, pure=False, workers=chosen)

    def result(self, future: Future[Parcel]) -> Any:
        """Wait for a task and return what is in its parcel.

        Raises:
            Pi2PosthogError: the task or the cluster failed.
        """
        with self.explain_errors():
            while True:
                is_done = future.done()
                try:
                    return future.result(timeout=_ANSWER_S if is_done else _LOOK_S).open()
                except TimeoutError:
                    if is_done:
                        raise
                self.check()

    def check(self, workers: Collection[str] | None = None) -> None:
        """Check every two seconds that there are workers, or some of the given ones.

        Raises:
            Pi2PosthogError: there have been none for half a minute.
        """
        now_s = time.monotonic()
        if now_s - self._looked_s < _LOOK_S:
            return
        self._looked_s = now_s
        alive = self.count_threads().keys()
        if alive if workers is None else alive & set(workers):
            self._alive_s = time.monotonic()
        elif now_s - self._alive_s > _WITHOUT_WORKERS_S:
            raise Pi2PosthogError(f"The workers of the Dask cluster at {self._address} are gone; {GOES_ON}.")

    def cancel(self, futures: Sequence[Future[Parcel]]) -> None:
        """Cancel tasks: waiting ones at once, running ones when they notice it."""
        with self.explain_errors():
            self._client.cancel(list(futures))

    @contextlib.contextmanager
    def listen(self, topic: str, hear: Callable[[Any], None]) -> Iterator[None]:
        """Call a function, in another thread, with each message on a topic."""
        with self.explain_errors():
            self._client.subscribe_topic(topic, lambda event: hear(event[1]))
        try:
            yield
        finally:
            with contextlib.suppress(Exception):
                self._client.unsubscribe_topic(topic)

    def load(self, keys: Sequence[str]) -> Any:
        """Load what tasks keep at the scheduler under a path of keys; None where there is nothing."""
        return self._ask(self._client.scheduler.get_metadata, keys=list(keys), default=None)

    def forget(self, keys: Sequence[str]) -> None:
        """Make the scheduler forget what it keeps under a path of keys."""
        self._ask(self._client.scheduler.set_metadata, keys=list(keys), value={})

    def _ask(self, call: Callable[..., Any], **arguments: Any) -> Any:
        with self.explain_errors():
            if self._client.status != "running":
                raise OSError
            return self._client.sync(call, **arguments, callback_timeout=_ANSWER_S)

    @contextlib.contextmanager
    def explain_errors(self) -> Iterator[None]:
        """Turn whatever Dask raises into a Pi2PosthogError of one line."""
        try:
            yield
        except Pi2PosthogError:
            raise
        except (Exception, CancelledError) as error:
            raise self._explain(error) from None

    def _explain(self, error: BaseException) -> Pi2PosthogError:
        from distributed.scheduler import KilledWorker

        place = f"Dask cluster at {self._address}"
        if isinstance(error, KilledWorker):
            return Pi2PosthogError(
                f"The workers of the {place} died again and again over the same sessions (out of memory?); "
                f"{GOES_ON}."
            )
        if isinstance(error, (OSError, CancelledError, futures.CancelledError)):
            return Pi2PosthogError(f"The connection to the {place} was lost; {GOES_ON}.")
        if isinstance(error, (ImportError, AttributeError, RuntimeError)):
            return UsageError(
                f"The {place} cannot run pi2posthog: install its version {own_version()}, with the extra "
                "[dask], for the scheduler and all workers"
            )
        return Pi2PosthogError(f"The {place} failed ({type(error).__name__}); {GOES_ON}.")


@contextlib.contextmanager
def connect_cluster(address: str) -> Iterator[Cluster]:
    """Connect to a cluster, and disconnect at the end of the block.

    Args:
        address: the scheduler's address, such as ``tcp://10.0.0.1:8786``.

    Raises:
        UsageError: the address is not valid, no scheduler answers there, it has no workers, or a worker has
            no or another version of this program.
    """
    if not _ADDRESS.fullmatch(address):
        raise UsageError(
            f"--scheduler: {quoted(address)} is no address like tcp://HOST:PORT or tls://HOST:PORT"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about versions, which are checked below, and sizes
        client = _connect(address)
        try:
            cluster = Cluster(address, client)
            with cluster.explain_errors():
                _check_workers(address, client)
            yield cluster
        finally:
            with contextlib.suppress(Exception, CancelledError):
                client.close(timeout=1)


def _connect(address: str) -> Client:
    try:
        from distributed import Client
    except ImportError:
        raise UsageError(f"--scheduler needs a package that is missing: {_INSTALL}") from None
    for name in ["asyncio", "tornado", *logging.root.manager.loggerDict]:
        if name.partition(".")[0] in ("asyncio", "distributed", "tornado"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)  # explain_errors says it in one line
    try:
        # A client that finds no scheduler takes long to close, so see first whether one answers.
        asyncio.run(asyncio.wait_for(_knock(address), _CONNECT_S + 1))
        return Client(address, timeout=_CONNECT_S, set_as_default=False, name="pi2posthog")
    except UsageError:
        raise
    except OSError:
        raise UsageError(f"--scheduler: no Dask scheduler answers at {address}") from None
    except Exception as error:
        said = " ".join(str(error).split())[:200]
        raise UsageError(
            f"--scheduler: {address} cannot be used ({type(error).__name__}: {printable(said)})"
        ) from None


async def _knock(address: str) -> None:
    """Check that a scheduler answers.

    Raises:
        UsageError: TLS is asked for, but not set up.
        Exception: what Dask raises.
    """
    from distributed.comm import connect
    from distributed.security import Security

    arguments = Security().get_connection_args("client")
    if address.startswith("tls") and not arguments.get("ssl_context"):
        raise UsageError(
            "--scheduler: tls:// needs certificates: name them in Dask's configuration "
            "(distributed.comm.tls: ca-file, client.cert, client.key)"
        )
    comm = await connect(address, timeout=_CONNECT_S, **arguments)
    await comm.close()


def _check_workers(address: str, client: Client) -> None:
    """Check that there are workers, and that all machines have the same versions as this one."""
    try:
        client.wait_for_workers(1, timeout=_CONNECT_S)
    except TimeoutError:
        raise UsageError(f"--scheduler: the Dask cluster at {address} has no workers") from None
    found = client.get_versions(packages=["pi2posthog"])
    own = found["client"]["packages"]
    for where, about in {address: found["scheduler"], **found["workers"]}.items():
        there = about["packages"] if about else {}
        for package in ("pi2posthog", "distributed"):
            if own[package] and there.get(package) != own[package]:
                who = "scheduler" if where == address else "worker"
                has = f"{package} {there[package]}" if there.get(package) else f"no {package}"
                raise UsageError(
                    f"--scheduler: the {who} {where} has {has}, this machine {own[package]}: "
                    "install the same version for the scheduler and all workers"
                )
