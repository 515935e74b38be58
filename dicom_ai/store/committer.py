"""The one thread per process that commits: objects of parallel associations share an fsync and a transaction.

A caller waits until its receipts are there. The thread waits for company only as long as the last group shows that
there is company, so a single sender never waits. What this is not: the commit itself (that is `commit`).
"""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from dicom_ai.errors import LedgerUnavailable, ResourceError
from dicom_ai.ports import Receipt, Spooled
from dicom_ai.store.commit import Keeper

_RETRY_S = 1.0  # pause before ended associations are written down again when the ledger was unavailable


@dataclass(frozen=True)
class _Waiting:
    batch: Sequence[Spooled]
    receipts: Future[Sequence[Receipt]] = field(default_factory=Future)


class Committer:
    """Group commit. Offers `keep` (the port) and takes the notices of the acceptor that concern the ledger."""

    def __init__(
        self, keeper: Keeper, *, wait_ms: float, batch: int, refused: Callable[[str, int, str], None] | None = None
    ) -> None:
        """Take the parts; `start` begins.

        Args:
            keeper: does the commits.
            wait_ms: a group waits at most this long for more objects, milliseconds.
            batch: objects committed together at most.
            refused: told of refusals (association, DIMSE status, reason); for the log.
        """
        self._keeper, self._wait_s, self._limit = keeper, wait_ms / 1000, batch
        self._refused = refused
        self._queue: queue.SimpleQueue[_Waiting | str | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._is_stopped = False
        self._company = 1  # callers in the last group
        self._ended: list[str] = []  # associations to be written down; outlives a thread that a fault ended

    def start(self) -> None:
        """Start the thread."""
        with self._lock:
            self._ensure_thread()

    def stop(self) -> None:
        """Commit what was handed over, then end the thread. Later objects are refused."""
        with self._lock:
            self._is_stopped = True
            thread = self._thread
            self._queue.put(None)
        if thread is not None:
            thread.join()

    def keep(self, batch: Sequence[Spooled]) -> Sequence[Receipt]:
        """Make objects durable; blocks until it is decided. See `ports.Keep`."""
        if not batch:
            return []
        waiting = _Waiting(batch)
        with self._lock:
            if self._is_stopped:
                return _failed(batch)
            self._ensure_thread()
            self._queue.put(waiting)
        return waiting.receipts.result()

    def association_ended(self, association: str) -> None:
        """Have it written down with one of the next groups."""
        with self._lock:
            if not self._is_stopped:
                self._ensure_thread()
            self._queue.put(association)

    def refused(self, association: str, status: int, reason: str) -> None:
        """Pass a refusal on."""
        if self._refused is not None:
            self._refused(association, status, reason)

    def _ensure_thread(self) -> None:
        # A fault of ours ends the thread after its callers were answered; the next object gets a new one.
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        is_last = False
        while not is_last:
            group, noted, is_last = self._gather(_RETRY_S if self._ended else None)
            self._ended.extend(noted)
            self._commit(group)
            if self._ended and self._end(self._ended):
                self._ended.clear()

    def _gather(self, patience_s: float | None) -> tuple[list[_Waiting], list[str], bool]:
        """One group, the associations that ended meanwhile, and whether it is the last."""
        group: list[_Waiting] = []
        ended: list[str] = []
        timeout = patience_s
        deadline: float | None = None
        while sum(len(waiting.batch) for waiting in group) < self._limit:
            try:
                found = self._queue.get(timeout=timeout) if timeout != 0 else self._queue.get_nowait()
            except queue.Empty:
                break
            if found is None:
                return group, ended, True
            if isinstance(found, str):
                ended.append(found)
            else:
                group.append(found)
            now = time.monotonic()
            deadline = deadline or now + self._wait_s
            timeout = max(0.0, deadline - now) if group and len(group) < self._company else 0
        self._company = max(1, len(group))
        return group, ended, False

    def _commit(self, group: Sequence[_Waiting]) -> None:
        try:
            receipts = iter(
                self._keeper.keep([spooled for waiting in group for spooled in waiting.batch]) if group else ()
            )
            for waiting in group:
                waiting.receipts.set_result([next(receipts) for _ in waiting.batch])
        finally:
            for waiting in group:
                if not waiting.receipts.done():
                    waiting.receipts.set_result(_failed(waiting.batch))

    def _end(self, associations: Sequence[str]) -> bool:
        try:
            self._keeper.end(associations)
        except LedgerUnavailable:
            return False
        return True


def _failed(batch: Sequence[Spooled]) -> list[Receipt]:
    return [Receipt(ResourceError.dimse_status, ResourceError.reason)] * len(batch)
