"""Approved entries of the ledger as layouts for the crop: for the service, which reads them before every object, and
for commands over files, which take what there is.

What this is not: the ledger's table (`store.layouts`) or the comparison with a device (`crop.catalogue`).
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine, Row

from dicom_ai.crop.catalogue import Layout
from dicom_ai.kept import CropOutcome
from dicom_ai.store import layouts
from dicom_ai.store.database import read


def approved(engine: Engine) -> tuple[Layout, ...]:
    """The entries that count now, the latest first.

    Raises:
        LedgerUnavailable: nobody knows.
    """
    with read(engine) as connection:
        return tuple(layout_of_row(row) for row in layouts.entries(connection, layouts.APPROVED))


def layout_of_row(row: Row[Any]) -> Layout:
    """One entry, whatever its state, as a witness."""
    keep = tuple(tuple((float(x), float(y)) for x, y in polygon) for polygon in row.keep)
    device = row.manufacturer, row.model, row.software
    return Layout(layouts.name_of(row.id), *device, row.rows, row.columns, keep, "approved")


def named_in(outcome: CropOutcome, known: Sequence[Layout]) -> tuple[Layout, ...]:
    """Of these entries the one that spoke when an outcome was made: the same object is cropped alike with it alone.

    An entry approved since would give another outcome; one withdrawn since is no longer among those known.
    """
    name = (outcome.votes or {}).get("layout")
    return tuple(one for one in known if one.name == name)
