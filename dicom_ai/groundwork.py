"""What must stand before any role process runs: data folder, schema, the ledger's owner, no leftovers.

What this is not: the roles (`service`).
"""

from functools import partial

from dicom_ai import engine
from dicom_ai.settings import Settings
from dicom_ai.store.commit import known
from dicom_ai.store.database import migrate, open_engine, write
from dicom_ai.store.files import ORPHAN_AGE_S, ObjectStore
from dicom_ai.store.site_id import claim, site_id
from dicom_ai.store.workfiles import WorkFiles, work_folder


def prepare(settings: Settings) -> None:
    """Bring the data folder and the ledger's schema up to date; the ledger is this folder's from now on.

    Raises:
        SettingsError: the ledger belongs to another data folder, or the database is not fit to hold one.
        LedgerUnavailable: it cannot be reached.
    """
    mine = site_id(settings.store.data)
    opened = open_engine(settings.database_url)
    try:
        migrate(opened)
        with write(opened) as connection:
            claim(connection, mine)
    finally:
        opened.dispose()
    engine.prepare(settings.database_url)


def sweep(settings: Settings) -> None:
    """Remove what processes that were killed left in the data folder. Only while it is held and nothing runs."""
    opened = open_engine(settings.database_url)
    try:
        files = ObjectStore(settings.store.data)
        files.sweep_spool()
        files.sweep_store(partial(known, opened))
        WorkFiles(work_folder(settings.store.data)).sweep(ORPHAN_AGE_S)
    finally:
        opened.dispose()
