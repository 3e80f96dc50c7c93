"""Measuring on many machines, through a scheduler of Dask; docs/cluster.md has the commands.

A machine offers resources, and a job goes where its own is free. There it runs in a process of its own, as in
a local pool: what a job does to that process never reaches Dask.
"""

import atexit
import pickle
import threading
import uuid
import warnings
from asyncio import CancelledError
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from time import monotonic, sleep
from typing import TYPE_CHECKING

from tilewright.tune.attempt import described
from tilewright.tune.board import PREFIX
from tilewright.tune.dispatch import Dispatch, Handle, Trouble
from tilewright.tune.error import TuneError
from tilewright.tune.fleet import Machine
from tilewright.tune.outcome import Kind, Outcome
from tilewright.tune.station import Answer, Order, Station, version

if TYPE_CHECKING:
    from distributed import Client, Future
    from distributed.utils import LoopRunner

_CONNECT_SECONDS = 10.0
_ASK_SECONDS = 5.0
"""For an answer of the scheduler, or for a result that is there."""
_LOCK_SECONDS = 60.0
"""For a board, besides a job's own timeout: Dask keeps locks of machines that died for 30 to 40 s."""


class Cluster(Dispatch):
    """Measures on the machines of a cluster.

    Args:
        address: of its scheduler, such as `tcp://10.0.0.1:8786`.
        patience_seconds: for what may come back, and for an answer over twice the timeout of its job.
        tell: is given notes for the user, a line each.

    Raises:
        TuneError: if no scheduler answers there, or Dask is not installed.
    """

    def __init__(
        self, address: str, *, patience_seconds: float = 120.0, tell: Callable[[str], None] | None = None
    ) -> None:
        super().__init__(_DaskLink(address), patience_seconds=patience_seconds, tell=tell)


# --- on a machine of the cluster ---------------------------------------------------------------------------


def measure_there(client_version: str, data: bytes) -> Answer:
    """Measure an order, on a worker of Dask.

    Args:
        client_version: of who sends it; the order is read only if it is ours.
        data: the order, pickled.
    """
    from distributed import get_worker

    name = get_worker().address
    if client_version != version():
        return Answer(station=name, version=version())
    order: Order = pickle.loads(data)
    try:
        with _board(order):
            return _station(name)(order)
    except TuneError as error:
        return Answer(station=name, outcome=Outcome(kind=Kind.LOST, detail=str(error), worker=name))


@cache
def _station(name: str) -> Station:
    station = Station(name)
    atexit.register(station.close)
    return station


@contextmanager
def _board(order: Order) -> Iterator[None]:
    """Have a board among all clients of the scheduler, where the job needs one."""
    if not order.resource.startswith(PREFIX):
        yield
        return
    from distributed import Lock

    lock = Lock(f"tilewright/{order.resource}")
    patience_seconds = order.timeout_seconds + _LOCK_SECONDS
    try:
        is_ours = lock.acquire(timeout=patience_seconds)
    except OSError as error:
        raise TuneError(f"{order.resource} cannot be asked for: {described(error)}") from None
    if not is_ours:
        raise TuneError(f"{order.resource} was used by another client for {patience_seconds:g} s")
    try:
        yield
    finally:
        lock.release()


# --- with the client ---------------------------------------------------------------------------------------


class _DaskLink:
    """A way to the scheduler, which is made anew where Dask gives it up."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._news = threading.Event()
        self._loop = _loop()
        try:
            self._client = self._connected(_CONNECT_SECONDS)
        except TuneError:
            self._loop.stop()
            raise

    def _connected(self, timeout_seconds: float) -> "Client":
        from distributed import Client

        try:
            return Client(self.address, loop=self._loop.loop, timeout=timeout_seconds, set_as_default=False)
        except (OSError, ValueError, ImportError) as error:
            raise TuneError(
                f"no scheduler answers at {self.address!r} ({described(error)}): start one with "
                f"`dask scheduler`, which names its address"
            ) from None

    def is_up(self) -> bool:
        """Whether the scheduler is there."""
        return bool(self._client.status == "running")

    def restore(self, patience_seconds: float) -> bool:
        """Wait until the scheduler is there again; whether it is."""
        give_up = monotonic() + patience_seconds
        while not self.is_up() and monotonic() < give_up:
            # Dask tries for a while by itself.
            if self._client.status == "closed":
                with suppress(TuneError):
                    self._client = self._connected(min(_CONNECT_SECONDS, patience_seconds))
            sleep(0.1)
        return self.is_up()

    def machines(self) -> Mapping[str, Machine] | None:
        """The machines by address; None if the scheduler does not say."""
        scheduler = self._client.scheduler
        if scheduler is None:
            return None
        try:
            found = self._client.sync(scheduler.identity, n_workers=-1, callback_timeout=_ASK_SECONDS)
        except (OSError, RuntimeError):
            return None
        return {
            address: Machine(offers=worker["resources"], heard_at=worker["last_seen"])
            for address, worker in found["workers"].items()
        }

    def send(self, order: Order, machines: Sequence[str] | None) -> Handle:
        """Have an order measured by one of these machines; None: by any."""
        try:
            return _DaskHandle(self._client, self._submitted(order, machines), self._news)
        except Exception as error:  # noqa: BLE001  # a client that closes fails in many ways; it surfaces
            return _Unsent(Trouble(described(error), may_retry=True))

    def _submitted(self, order: Order, machines: Sequence[str] | None) -> "Future[Answer]":
        with warnings.catch_warnings():
            # A large runner is sent once to a machine; there is no other way to Dask's mind.
            warnings.filterwarnings("ignore", "Sending large graph")
            return self._client.submit(
                measure_there,
                version(),
                pickle.dumps(order),
                key=f"tilewright-{uuid.uuid4().hex}",
                pure=False,
                resources={order.resource: 1},
                workers=machines,
            )

    def wait(self, seconds: float) -> None:
        """Return when something may have happened, or after this time."""
        self._news.wait(seconds)
        self._news.clear()

    def close(self) -> None:
        """Leave the scheduler."""
        with suppress(OSError, RuntimeError):
            self._client.close(timeout=_ASK_SECONDS)
        self._loop.stop()


def _loop() -> "LoopRunner":
    try:
        from distributed.utils import LoopRunner
    except ImportError:
        raise TuneError(
            "measuring on a cluster needs the package `distributed`: pip install 'tilewright[cluster]'"
        ) from None
    # Ours, so that a client that closed itself leaves no thread behind.
    runner = LoopRunner()
    runner.start()
    return runner


class _DaskHandle:
    """A job that Dask has."""

    def __init__(self, client: "Client", future: "Future[Answer]", news: threading.Event) -> None:
        self._client = client
        self._future = future
        future.add_done_callback(lambda _: news.set())

    def poll(self) -> Answer | Trouble | None:
        """What became of it; None: nothing yet."""
        from distributed import KilledWorker

        status = self._future.status
        if status == "pending":
            return None
        if status not in ("finished", "error"):
            return Trouble("the scheduler went away with it", may_retry=True)
        try:
            return self._future.result(timeout=_ASK_SECONDS)
        except KilledWorker as error:
            # Dask has tried other machines by then.
            return Trouble(described(error), may_retry=False)
        except (Exception, CancelledError) as error:  # noqa: BLE001  # anything a machine raised; it surfaces
            return Trouble(f"a machine could not take it: {described(error)}", may_retry=True)

    def holder(self) -> str:
        """The address of the machine that has it; empty if nobody says."""
        scheduler = self._client.scheduler
        if scheduler is None:
            return ""
        try:
            found = self._client.sync(scheduler.processing, workers=None, callback_timeout=_ASK_SECONDS)
        except (OSError, RuntimeError):
            return ""
        return next((address for address, keys in found.items() if self._future.key in keys), "")

    def release(self) -> None:
        """Forget it; what does not run yet never will."""
        with suppress(RuntimeError):
            self._future.release()


class _Unsent:
    """A job that nobody has."""

    def __init__(self, trouble: Trouble) -> None:
        self._trouble = trouble

    def poll(self) -> Answer | Trouble | None:
        """Why."""
        return self._trouble

    def holder(self) -> str:
        """Nobody."""
        return ""

    def release(self) -> None:
        """Nothing is held."""
