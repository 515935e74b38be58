"""Who this data folder is: id and secret made at first start, the lock that keeps a second service out, its ledger.

What this is not: settings. Both values belong to the data; losing them would give repeated results other UIDs.
"""

import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection, insert, select

from dicom_ai.errors import DataFolderInUse, ResourceError, SettingsError
from dicom_ai.store.tables import owners


@dataclass(frozen=True)
class SiteId:
    """Identity of one data folder.

    Attributes:
        store_id: names the installation, 32 hex digits; may be shown.
        namespace: secret of the site, 64 hex digits; result UIDs and study ids are made from it.
    """

    store_id: str
    namespace: str = field(repr=False)

    def study_id(self, study_instance_uid: str) -> str:
        """Our own id of a study: without the secret nobody can tell which study it is."""
        said = f"study\0{self.namespace}\0{study_instance_uid}"
        return "s" + hashlib.sha256(said.encode()).hexdigest()[:24]


def site_id(data: Path) -> SiteId:
    """Read `<data>/site.json`; make it at first start.

    Raises:
        SettingsError: the file is there but says something else. It is never replaced.
        ResourceError: it cannot be read or written.
    """
    path = data / "site.json"
    try:
        if not path.exists():
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make(path)
        row = json.loads(path.read_text(encoding="utf-8"))
        return SiteId(store_id=str(row["store_id"]), namespace=str(row["namespace"]))
    except OSError as exc:
        raise ResourceError("site.json") from exc
    except (ValueError, KeyError, TypeError) as exc:
        raise SettingsError("site.json of the data folder is damaged; restore it from a backup") from exc


@contextmanager
def hold(data: Path) -> Iterator[None]:
    """Hold the data folder for this service; the lock ends with the process, however it ends.

    Raises:
        DataFolderInUse: another instance holds it.
        ResourceError: the lock file cannot be made.
    """
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(data / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as exc:
        raise ResourceError("lock file of the data folder") from exc
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise DataFolderInUse from exc
        yield
    finally:
        os.close(fd)


def claim(connection: Connection, mine: SiteId) -> None:
    """Take a ledger for this data folder, or find that it is its own.

    Two folders on one ledger would answer for objects whose files only the other one has, and give equal results
    different UIDs.

    Args:
        connection: with a write transaction open.
        mine: of the data folder.

    Raises:
        SettingsError: the ledger belongs to another data folder.
    """
    owner = connection.scalar(select(owners.c.store_id))
    if owner is None:
        connection.execute(insert(owners).values(store_id=mine.store_id))
    elif owner != mine.store_id:
        raise SettingsError(
            f"the ledger belongs to the data folder with store id {owner[:8]}, this folder has {mine.store_id[:8]}: "
            "give this service a database of its own (store.database_url), or its own folder back (store.data)"
        )


def _make(path: Path) -> None:
    """Write the file aside and link it into place: of two first starts one wins, and nobody reads half a file."""
    row = {"schema_version": 1, "store_id": secrets.token_hex(16), "namespace": secrets.token_hex(32)}
    aside = path.with_name(f".site.{secrets.token_hex(8)}")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(row, file)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(aside, path)
    except FileExistsError:
        pass
    finally:
        aside.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
