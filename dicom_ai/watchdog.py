"""Who of several workers on one PostgreSQL is alive: each holds a lock on its name, and takes over from the fallen.

A worker's name is its host and a slot. The lock belongs to a connection of its own and ends with it, so that the jobs
of a worker that died are handed over as soon as the server has noticed: at once when the process died, within half a
minute when its machine lost power. A worker that lost its lock ends at once, before it can do or send anything more:
another may be at its jobs already. The supervisor starts it again.

SQLite has one worker and needs none of this. What this is not: a limit for a step that hangs; a worker that stands
still keeps its lock.
"""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import NullPool, create_engine, make_url
from sqlalchemy.exc import DBAPIError

from dicom_ai.errors import LedgerUnavailable
from dicom_ai.log import get_logger
from dicom_ai.store.postgresql import LOCKS, connect_args, why_not_connected

N_SLOTS = 64
PULSE_S, LOOK_S = 1.0, 2.0
"""Pauses between two looks at the own lock, and at the jobs of others."""

_STALE_S = 5.0  # a lock last seen this long ago is looked at before anything is done under it
_NETWORK = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 10_000}
# Ours notices a server that is cut off after about 11 s, the server notices us after 25 s: nobody is replaced while
# it still believes in its lock.
_SERVER_SIDE = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3"
_HELD = (
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid()"
    " AND classid = %s AND objid = %s"
)


class Seat:
    """A worker's name, held as long as the process lives. This one is for SQLite: nobody else is there."""

    executor = "local-0"

    def require(self) -> None:
        """Return only while the name is held."""

    def watch(self, running: Callable[[], Iterable[str]], take_over: Callable[[str], int]) -> None:
        """Begin to look after the others."""

    def leave(self) -> None:
        """Give the name back."""


class LockedSeat(Seat):
    """A name on PostgreSQL. Thread-safe."""

    def __init__(self, url: str, place: str, *, end: Callable[[], None] | None = None) -> None:
        """Take the first free slot of this host.

        Args:
            url: of the ledger.
            place: name of this host.
            end: what a worker does that lost its lock; it must not come back. None: end the process at once.

        Raises:
            LedgerUnavailable: the database cannot be reached, or every slot is taken.
        """
        self._end = end or _end_process
        self._connection = _connect(url)
        self._turn, self._stop = threading.Lock(), threading.Event()
        self._threads: list[threading.Thread] = []
        for slot in range(N_SLOTS):
            self.executor = f"{place}-{slot}"
            if self._try(self.executor):
                break
        else:
            raise LedgerUnavailable(f"{N_SLOTS} workers of this host are at work already")
        self._seen_at = time.monotonic()
        self._begin(self._pulse, "seat-pulse")

    @staticmethod
    def key(executor: str) -> int:
        """Second key of a worker's lock, as `pg_locks` shows it, 1..2^32-1; 0 is the writer's."""
        return max(1, int.from_bytes(hashlib.sha256(executor.encode()).digest()[:4], "big"))

    def require(self) -> None:
        """Return only while the lock is held; otherwise the process ends here."""
        if time.monotonic() - self._seen_at > _STALE_S:
            self._look()

    def watch(self, running: Callable[[], Iterable[str]], take_over: Callable[[str], int]) -> None:
        """Begin to look after the others.

        Args:
            running: names of the workers that have jobs running, dead or alive.
            take_over: gives the running jobs of a dead worker back to their queues; how many.
        """

        def look() -> None:
            while not self._stop.wait(LOOK_S):
                try:
                    self._look_after(set(running()) - {self.executor}, take_over)
                except Exception as exc:  # noqa: BLE001 - the next look comes; a lost lock is the pulse's to tell
                    get_logger().error("look failed", action="take over", error=type(exc).__name__)

        self._begin(look, "seat-watch")

    def leave(self) -> None:
        """Give the name back; only when no job of ours runs any more, or they may run elsewhere."""
        self._stop.set()
        for thread in self._threads:
            thread.join(5)
        self._connection.close()

    def _begin(self, work: Callable[[], None], name: str) -> None:
        self._threads.append(threading.Thread(target=work, name=name, daemon=True))
        self._threads[-1].start()

    def _pulse(self) -> None:
        while not self._stop.wait(PULSE_S):
            self._look()

    def _look(self) -> None:
        try:
            is_held = self._ask(_HELD, LOCKS, self.key(self.executor)) == 1
        except Exception as exc:  # noqa: BLE001 - whatever it is, the lock can no longer be shown to be ours
            if not self._stop.is_set():
                get_logger().error("lock lost", action="stop", role=self.executor, error=type(exc).__name__)
                self._end()
            return
        if is_held:
            self._seen_at = time.monotonic()
        elif not self._stop.is_set():
            get_logger().error("lock lost", action="stop", role=self.executor)
            self._end()

    def _look_after(self, others: Iterable[str], take_over: Callable[[str], int]) -> None:
        for executor in sorted(others):
            if self._try(executor):
                try:
                    count = take_over(executor)
                finally:
                    self._ask("SELECT pg_advisory_unlock(%s, %s)", LOCKS, _signed(self.key(executor)))
                get_logger().warning("took over", action="take over", role=executor, count=count)

    def _try(self, executor: str) -> bool:
        return bool(self._ask("SELECT pg_try_advisory_lock(%s, %s)", LOCKS, _signed(self.key(executor))))

    def _ask(self, query: str, *values: object) -> Any:
        with self._turn:
            return self._connection.execute(query, values).fetchone()[0]


@contextmanager
def seated(url: str, place: str) -> Iterator[Seat]:
    """Hold a worker's name for the time of the block.

    Raises:
        LedgerUnavailable: the database cannot be reached, or every slot of this host is taken.
    """
    seat = Seat() if url.startswith("sqlite") else LockedSeat(url, place)
    try:
        yield seat
    finally:
        seat.leave()


def _connect(url: str) -> Any:
    """A psycopg connection of our own, without a pool that would replace it when it breaks."""
    engine = create_engine(url, poolclass=NullPool, connect_args={**connect_args(make_url(url)), **_NETWORK})
    try:
        connection = engine.connect()
    except DBAPIError as exc:
        raise LedgerUnavailable(why_not_connected(exc) or type(exc.orig).__name__) from exc
    driver: Any = connection.connection.driver_connection
    connection.detach()  # from the pool
    driver.rollback()
    driver.autocommit = True
    driver.execute(_SERVER_SIDE)
    return driver


def _signed(key: int) -> int:
    """As the lock functions take it."""
    return key - 2**32 if key >= 2**31 else key


def _end_process() -> None:
    os._exit(70)
