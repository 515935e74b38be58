"""What a command needs to look into the ledger, or to act on it, beside a running service or without one.

What this is not: the service's own way in (`groundwork.prepare` makes and migrates the ledger; a command never does).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine, make_url

from dicom_ai.errors import LedgerUnavailable, SettingsError
from dicom_ai.ledger import Ledger
from dicom_ai.rows import say
from dicom_ai.settings import Settings
from dicom_ai.store.database import open_engine, read, revisions

if TYPE_CHECKING:
    from dicom_ai.classify.shelf import Named, Shelf
    from dicom_ai.crop.catalogue import Layout

START_FIRST = "start the service once with `dicom-ai serve`, or put a site file into force with `dicom-ai apply`"


@contextmanager
def reading(settings: Settings) -> Iterator[Engine]:
    """The ledger as it is; nothing is made or migrated.

    Raises:
        SettingsError: there is no ledger yet, or it is of another version; the text says what to do.
        LedgerUnavailable: it cannot be read.
    """
    path = ledger_file(settings)
    if path is not None and not path.exists():
        raise SettingsError(f"no ledger at {path} yet; {START_FIRST}")
    opened = open_engine(settings.database_url)
    try:
        found, newest = revisions(opened)
        if found is None:
            raise SettingsError(f"the ledger has no tables yet; {START_FIRST}")
        if found != newest:
            raise SettingsError(
                f"the ledger's schema is {found}, this version of dicom-ai knows {newest}; "
                "start the service of the newer version once"
            )
        yield opened
    finally:
        opened.dispose()


@contextmanager
def acting(settings: Settings, clock: Callable[[], datetime]) -> Iterator[Ledger]:
    """The ledger with the engine's enqueue: rows and jobs of a command commit together, as the service's do.

    Raises:
        SettingsError, LedgerUnavailable: as `reading`.
    """
    from dicom_ai import engine

    with reading(settings) as opened:
        client = engine.client(settings.database_url)
        try:
            yield Ledger(opened, engine.enqueuer(client), clock)
        finally:
            client.destroy()


def approved_there(settings: Settings) -> "tuple[Layout, ...]":
    """What people approved for the crop, for a command over files: none where there is no ledger.

    A ledger that cannot be read is told of on standard error: without its entries more is quarantined, never less.
    """
    from dicom_ai.approved import approved

    path = ledger_file(settings)
    if path is not None and not path.exists():
        return ()
    try:
        with reading(settings) as opened:
            return approved(opened)
    except (SettingsError, LedgerUnavailable) as exc:
        say(f"without the layouts that people approved: {exc}")
        return ()


def shelf_there(settings: Settings, folder: Path | None = None) -> "Shelf":
    """The models a command over files may use: those of a folder, or what the registry of the data folder says.

    Where there is no ledger nobody has chosen a model, and the package's own answer.

    Raises:
        ModelError: the folder holds no sound model, or one that claims a grade which nobody trusted has signed.
        SettingsError, LedgerUnavailable: the registry cannot be read; no model is guessed then.
    """
    from dicom_ai.classify.catalogue import read_installed
    from dicom_ai.classify.shelf import shelf, shelf_of
    from dicom_ai.classify.trust import trusted

    if folder is not None:
        return shelf_of([read_installed(folder, trusted(settings.store.data)).require_trust()])
    return shelf(named_there(settings), settings.store.data)


def named_there(settings: Settings) -> "tuple[Named, ...]":
    """The rows of the registry; none where there is no ledger. Errors as `reading`."""
    from dicom_ai.serving import named_in

    path = ledger_file(settings)
    if path is not None and not path.exists():
        return ()
    with reading(settings) as opened, read(opened) as connection:
        return named_in(connection)


def ledger_file(settings: Settings) -> Path | None:
    """The file of a SQLite ledger; None when the ledger is on a database server."""
    url = make_url(settings.database_url)
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None
