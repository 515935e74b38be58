"""Which models serve at this moment: the registry's rows and the folders, read again when either has changed.

An activation, a key that is trusted no more, or a file that was changed takes effect within seconds, without a start.
What this is not: the rule (`classify.shelf`), or the proof of weights and device (`classify.runtime`).
"""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Connection, Engine

from dicom_ai.classify import trust
from dicom_ai.classify.catalogue import folders
from dicom_ai.classify.shelf import Named, Shelf, shelf
from dicom_ai.log import get_logger
from dicom_ai.store import model_rows
from dicom_ai.store.database import read

Seen = tuple[object, ...]


def named_in(connection: Connection) -> tuple[Named, ...]:
    """The registry's rows as the shelf takes them."""
    return tuple(Named(row.digest, row.task, row.role) for row in model_rows.rows(connection))


class ShelfReader:
    """Gives the shelf as it is now, looking at most once per `ttl_s` seconds. Thread-safe."""

    def __init__(
        self, engine: Engine, data: Path, ttl_s: float = 2.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Take ledger and data folder; nothing is read before the first call."""
        self._engine, self._data, self._ttl_s, self._monotonic = engine, data, ttl_s, monotonic
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self._seen: Seen = ()
        self._shelf: Shelf | None = None

    def __call__(self) -> Shelf:
        """The shelf; a task whose model is refused is told of in the log each time that becomes so.

        Raises:
            LedgerUnavailable: the registry cannot be read; an old choice is not served as if it were in force.
        """
        with self._lock:
            if self._shelf is None or self._monotonic() - self._looked_at >= self._ttl_s:
                with read(self._engine) as connection:
                    rows = named_in(connection)
                seen = (rows, *_facts(self._data))
                if self._shelf is None or seen != self._seen:
                    self._shelf, self._seen = _told(shelf(rows, self._data)), seen
                self._looked_at = self._monotonic()
            return self._shelf


def _facts(data: Path) -> Sequence[object]:
    """What changes when a file of a model folder or a trusted key is exchanged: names, sizes, times."""
    files = [path for folder in folders(data) for path in folder.glob("*")]
    files += (data / trust.FOLDER).glob(f"*{trust.SUFFIX}")
    facts = []
    for path in sorted(files):
        with suppress(OSError):  # gone between the two looks: the next one sees it
            stat = path.lstat()
            facts.append((str(path), stat.st_size, stat.st_mtime_ns, stat.st_ino))
    return facts


def _told(found: Shelf) -> Shelf:
    for task, exc in sorted(found.refused.items()):
        # our own text: names of model folders and files, never of anything a patient is in
        get_logger().error("model refused", action="classify", task=task, error=str(exc))
    return found
