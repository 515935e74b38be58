"""The commands `archive pull` and `archive list`: orders of archived studies for the running service.

What this is not: the pulling (`pull_orders`).
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from dicom_ai.archive.filters import accessions_in
from dicom_ai.commands.desk import acting
from dicom_ai.errors import SettingsError
from dicom_ai.pull_orders import Order, folder_of, give_order, progress
from dicom_ai.rows import print_row, print_table, say
from dicom_ai.settings import Settings
from dicom_ai.store.database import read
from dicom_ai.store.site_rows import newest

_COLUMNS = (
    "name",
    "state",
    "studies",
    "studies_done",
    "have",
    "wanted",
    "refused",
    "left",
    "not_taken",
    "bytes",
    "error",
)


def pull(
    settings: Settings,
    name: str,
    words: Mapping[str, Any],
    accessions: Path | None,
    *,
    clock: Callable[[], datetime],
) -> int:
    """Give an order; return the exit code.

    Raises:
        SettingsError: it cannot be carried out, the site knows no such destination, or there is no ledger yet.
        LedgerUnavailable: it cannot be written.
    """
    try:
        order = Order(**words, accessions=accessions_in(accessions) if accessions else ())
    except (ValueError, OSError) as exc:
        raise SettingsError(str(exc)) from exc
    with acting(settings, clock) as desk:
        with read(desk.engine) as connection:
            known = newest(connection).destination(order.archive)
        if known is None:
            raise SettingsError(f"the site's tables name no destination {order.archive!r}")
        give_order(settings, desk, name, order)
    say(f"ordered; the service pulls into {folder_of(settings.store.data, name)}")
    return 0


def show(settings: Settings, *, as_json: bool) -> int:
    """Print the orders; return the exit code."""
    rows = progress(settings.store.data)
    for row in rows if as_json else ():
        print_row(row)
    if not as_json:
        print_table("Orders of archived studies", _COLUMNS, [[row.get(name) for name in _COLUMNS] for row in rows])
    return 0
