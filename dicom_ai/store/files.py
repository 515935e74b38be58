"""Object files by digest: from a spooled file to one that survives a power cut, in a fixed order.

The order is fdatasync of the file, rename to its digest, fsync of the directory; only then may the ledger speak of
it, so that a row never points at nothing. A failed fsync is never repeated (the kernel may have dropped the pages):
the store turns read-only until the process is started again. No attribute of a data set is in any name.
What this is not: the ledger, and it does not know what the bytes mean.
"""

import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dicom_ai import points
from dicom_ai.errors import InputError, OutOfSpace, ResourceError
from dicom_ai.ports import data_set_digest

ORPHAN_AGE_S = 900.0
"""A file without a ledger row is removed once it is older than this, seconds."""

_MIB = 1 << 20
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LONG_LENGTH = {b"OB", b"OW", b"OF", b"SQ", b"UN", b"UT"}  # of the VRs a File Meta group may hold


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _sync_file(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fdatasync(fd)
    finally:
        os.close(fd)


def _free_bytes(path: Path) -> int:
    return shutil.disk_usage(path).free


def _rename(source: Path, target: Path) -> None:
    source.replace(target)


@dataclass(frozen=True)
class Disk:
    """The calls whose failure or interruption decides durability; tests put failures into them."""

    sync_file: Callable[[Path], None] = _sync_file
    rename: Callable[[Path, Path], None] = _rename
    sync_directory: Callable[[Path], None] = _sync_directory
    free_bytes: Callable[[Path], int] = _free_bytes


class ObjectStore:
    """Files of received objects and of our own results, under `<data>/store/<2 hex>/<digest>.dcm`."""

    def __init__(self, data: Path, *, role: str = "", min_free_mib: int = 0, disk: Disk | None = None) -> None:
        """Make the folders (0700) that are missing.

        Args:
            data: data folder.
            role: of the process; its files in the spool are told from those of others by it.
            min_free_mib: watermark; nothing new is begun below this much free space.
            disk: for tests.

        Raises:
            ResourceError: the folders cannot be made.
        """
        self._disk = disk or Disk()
        self._min_free, self._role = min_free_mib * _MIB, role
        self._spool, self._store = data / "spool", data / "store"
        self._is_read_only = False
        with self._translated():
            for folder in (data, self._spool, self._store):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for number in range(256):  # all at once, so that no object has to wait for a new parent's fsync
                (self._store / f"{number:02x}").mkdir(mode=0o700, exist_ok=True)
            for folder in (self._store, data):
                self._sync(self._disk.sync_directory, folder)

    @property
    def is_read_only(self) -> bool:
        """Whether an fsync has failed since the process started."""
        return self._is_read_only

    def new_spool(self) -> Path:
        """A random name in the spool for an object about to be written.

        Raises:
            OutOfSpace: less than the watermark is free.
            ResourceError: the store is read-only.
        """
        self._require_room()
        return self._spool / f"{self._role}{secrets.token_hex(16)}.part"

    def path(self, digest: str) -> Path:
        """Where the object of this digest lies, or would lie."""
        if not _DIGEST.fullmatch(digest):
            raise ValueError("not a digest")
        return self._store / digest[:2] / f"{digest}.dcm"

    def keep(self, spooled: Sequence[tuple[Path, str]]) -> None:
        """Make spooled files durable under their digests; one fsync per directory for the whole group.

        Args:
            spooled: (file in the spool, its digest). A file kept before under the same digest is replaced by its
                equal; a call may be repeated.

        Raises:
            OutOfSpace: the disk or the quota is full.
            ResourceError: anything else; what was renamed until then is an orphan.
        """
        self._require_writable()
        with self._translated():
            for path, digest in spooled:
                self._sync(self._disk.sync_file, path if path.exists() else self.path(digest))
            points.reached("after-fsync")
            for path, digest in spooled:
                if path.exists():  # a repeated call finds what the first one moved
                    self._disk.rename(path, self.path(digest))
            points.reached("after-rename")
            for folder in sorted({self.path(digest).parent for _, digest in spooled}):
                self._sync(self._disk.sync_directory, folder)

    def write_result(self, part10: bytes) -> str:
        """Keep a Part 10 file of our own, in the same durable order.

        Args:
            part10: preamble, File Meta Information and data set.

        Returns:
            Its digest, by the same rule as for received objects.

        Raises:
            InputError: not a Part 10 file.
            ResourceError: as in `keep`.
        """
        digest = part10_digest(part10)
        path = self.new_spool()
        with self._translated():
            try:
                with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    file.write(part10)
                self.keep([(path, digest)])
            finally:
                path.unlink(missing_ok=True)
        return digest

    def discard(self, paths: Sequence[Path]) -> None:
        """Remove files of refused objects from the spool; what cannot be removed is left to `sweep_spool`."""
        for path in paths:
            try:
                path.unlink(missing_ok=True)
            except OSError:
                continue

    def sweep_spool(self) -> int:
        """Remove what an earlier process of this role left in the spool (of every role if it has none).

        Returns:
            Files removed.

        Raises:
            ResourceError: the folder cannot be read or changed.
        """
        with self._translated():
            left = list(self._spool.glob(f"{self._role}*.part"))
            for path in left:
                path.unlink(missing_ok=True)
        return len(left)

    def sweep_store(self, known: Callable[[Sequence[str]], Collection[str]]) -> int:
        """Remove orphans. Only before any process keeps objects or results: theirs are orphans until they commit.

        Args:
            known: which of these digests the ledger knows; asked once per folder.

        Returns:
            Files removed.

        Raises:
            ResourceError: a folder cannot be read or changed.
        """
        n_orphans = 0
        with self._translated():
            oldest = time.time() - ORPHAN_AGE_S
            for folder in sorted(self._store.iterdir()):
                old = [path for path in folder.glob("*.dcm") if path.stat().st_mtime < oldest]
                kept = set(known([path.stem for path in old])) if old else set()
                for path in old:
                    if path.stem not in kept:
                        path.unlink(missing_ok=True)
                        n_orphans += 1
        return n_orphans

    def _sync(self, call: Callable[[Path], None], path: Path) -> None:
        try:
            call(path)
        except FileNotFoundError as exc:
            raise ResourceError("a file to be made durable is gone") from exc  # nothing was written that could be lost
        except OSError as exc:
            self._is_read_only = True
            raise ResourceError(
                f"fsync failed ({errno.errorcode.get(exc.errno or 0)}); read-only until restart"
            ) from exc

    def _require_writable(self) -> None:
        if self._is_read_only:
            raise ResourceError("read-only after a failed fsync; restart the service")

    def _require_room(self) -> None:
        self._require_writable()
        with self._translated():
            free = self._disk.free_bytes(self._spool)
        if free < self._min_free:
            raise OutOfSpace(f"{free // _MIB} MiB free")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            kind = OutOfSpace if exc.errno in _NO_ROOM else ResourceError
            raise kind(errno.errorcode.get(exc.errno or 0, "")) from exc


def part10_digest(part10: bytes) -> str:
    """Digest of a Part 10 file: of its data set and transfer syntax, not of preamble and group 0002.

    Raises:
        InputError: not a Part 10 file.
    """
    if part10[128:132] != b"DICM":
        raise InputError("no DICM prefix")
    at, syntax = 132, b""
    while part10[at : at + 2] == b"\x02\x00":
        is_long = part10[at + 4 : at + 6] in _LONG_LENGTH
        start = at + (12 if is_long else 8)
        end = start + int.from_bytes(part10[start - 4 if is_long else start - 2 : start], "little")
        if part10[at + 2 : at + 4] == b"\x10\x00":
            syntax = part10[start:end]
        at = end
    if not syntax or at > len(part10):
        raise InputError("File Meta Information names no transfer syntax or is cut off")
    return data_set_digest(memoryview(part10)[at:], syntax.decode("ascii", "replace").strip(" \0"))
