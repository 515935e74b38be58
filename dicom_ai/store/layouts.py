"""Keep polygons that people approved, in the ledger: proposed, approved by one person or two, withdrawn.

An entry never changes and is never deleted: another polygon is another entry, and the latest one that is approved
counts. What this is not: the comparison with a device (`crop.catalogue`), or what follows from an approval.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from dicom_ai.errors import DicomAIError
from dicom_ai.store import events
from dicom_ai.store.tables import crops, layouts, objects

PROPOSED, APPROVED, WITHDRAWN = "proposed", "approved", "withdrawn"


class NotOpen(DicomAIError):
    """The layout is in no state in which this can be done."""


class SamePerson(DicomAIError):
    """A second person must confirm a layout, not the one who proposed it."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A keep polygon for a device and frame size.

    Attributes:
        manufacturer, model: as the evidence states them.
        software: of the evidence; None for every version.
        rows, columns: of the frame.
        keep: polygons as lists of [x, y], full-frame pixels.
        mask: SHA-256 of frame size and pixels inside.
        evidence: digest of the object that was looked at.
        note: what the person wrote.
        pipeline: version of the crop.
    """

    manufacturer: str
    model: str
    software: str | None
    rows: int
    columns: int
    keep: Sequence[Sequence[Sequence[float]]]
    mask: str
    evidence: str
    note: str
    pipeline: str


def propose(connection: Connection, proposal: Proposal, *, by: str, approvals: int, now: datetime) -> Row[Any]:
    """Enter a polygon; it counts at once where one person is enough.

    Args:
        connection: with a write transaction open.
        proposal: what to enter.
        by: who looked at it.
        approvals: how many different people must, 1 or 2.
        now: aware time.

    Returns:
        The entry.
    """
    is_enough = approvals == 1
    values = asdict(proposal) | {"state": APPROVED if is_enough else PROPOSED, "proposed_by": by, "proposed_at": now}
    values |= {"approved_by": by, "approved_at": now} if is_enough else {}
    number = connection.execute(insert(layouts).values(**values).returning(layouts.c.id)).scalar_one()
    _tell(connection, now, "layout_approved" if is_enough else "layout_proposed", entry(connection, number), by)
    return entry(connection, number)


def confirm(connection: Connection, number: int, *, by: str, now: datetime) -> Row[Any]:
    """A second person agrees to a proposed entry, which counts from now on.

    Raises:
        LookupError: no such entry.
        NotOpen: it was withdrawn. One that is approved already is given as it stands.
        SamePerson: who proposed it cannot confirm it.
    """
    found = entry(connection, number)
    if found.state == WITHDRAWN:
        raise NotOpen(f"{name_of(number)} was withdrawn by {found.withdrawn_by}; approve an object anew")
    if found.state == PROPOSED:
        if _plain(found.proposed_by) == _plain(by):
            raise SamePerson(f"{name_of(number)} was proposed by {found.proposed_by}")
        change = {"state": APPROVED, "approved_by": by, "approved_at": now}
        connection.execute(update(layouts).where(layouts.c.id == number).values(**change))
        _tell(connection, now, "layout_approved", found, by)
    return entry(connection, number)


def withdraw(connection: Connection, number: int, *, by: str, now: datetime) -> list[str]:
    """An entry stops counting; return our ids of the studies with objects that were cropped by it.

    What was cropped by it stands as it is: a person says which studies are gone through anew.

    Raises:
        LookupError: no such entry.
        NotOpen: it was withdrawn already.
    """
    found = entry(connection, number)
    if found.state == WITHDRAWN:
        raise NotOpen(f"{name_of(number)} was withdrawn by {found.withdrawn_by} already")
    change = {"state": WITHDRAWN, "withdrawn_by": by, "withdrawn_at": now}
    connection.execute(update(layouts).where(layouts.c.id == number).values(**change))
    _tell(connection, now, "layout_withdrawn", found, by)
    query = select(objects.c.study).join(crops, crops.c.object == objects.c.digest).distinct()
    by_it = query.where(crops.c.status == "cropped", crops.c.votes["layout"].as_string() == name_of(number))
    return sorted(connection.scalars(by_it))


def entry(connection: Connection, number: int) -> Row[Any]:
    """One entry.

    Raises:
        LookupError: there is none of this number.
    """
    found = connection.execute(select(layouts).where(layouts.c.id == number)).first()
    if found is None:
        raise LookupError(number)
    return found


def entries(connection: Connection, *states: str) -> Sequence[Row[Any]]:
    """The entries in these states, all if none is named, the latest first (by approval, else by proposal)."""
    query = select(layouts).order_by(layouts.c.approved_at.desc(), layouts.c.id.desc())
    return connection.execute(query.where(layouts.c.state.in_(states)) if states else query).all()


def name_of(number: int) -> str:
    """What people and votes call an entry."""
    return f"L{number}"


def number_of(name: str) -> int | None:
    """The number of an entry so called; None when this is no name of an entry."""
    found = re.fullmatch(r"[Ll]([0-9]{1,9})", name)
    return int(found[1]) if found else None


def _plain(name: str) -> str:
    return " ".join(name.split()).casefold()


def _tell(connection: Connection, now: datetime, kind: str, found: Row[Any], by: str) -> None:
    events.add(connection, now, kind, {"layout": name_of(found.id), "object": found.evidence, "by": by})
