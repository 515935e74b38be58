"""Objects that wait for a person, and the end of waiting: discarded.

What this is not: keep polygons (`layouts`), or the way back (`again`).
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from dicom_ai.errors import DicomAIError
from dicom_ai.instance import Instance
from dicom_ai.store import events
from dicom_ai.store.tables import crops, discards, objects
from dicom_ai.store.tables import events as diary

APPROVABLE = frozenset({
    "no_regions", "region_overflow", "region_empty", "region_whole_frame", "unknown_model",
    "witnesses_disagree", "layout_disagrees", "no_picture",
})  # fmt: skip
"""Reasons against which a keep polygon helps: where the picture is was in doubt. All others say something about the
pixels or the object that no polygon changes."""

DISCARDED = "discarded"


class NotWaiting(DicomAIError):
    """This object is not waiting for a person to look at its pixels."""


@dataclass(frozen=True)
class Quarantined:
    """One object in quarantine.

    Attributes:
        digest: of the object.
        study: our id.
        reason: why it is there.
        crop_reason: what the crop found wrong with it; None when it was not that.
        instance: its facts.
        size: bytes.
        since: when it came there.
        votes: what the witnesses said; None before the crop saw it.
    """

    digest: str
    study: str
    reason: str
    crop_reason: str | None
    instance: Instance
    size: int
    since: datetime
    votes: dict[str, Any] | None


def quarantined(
    connection: Connection, *, start: str = "", reasons: Collection[str] | None = None
) -> list[Quarantined]:
    """Objects in quarantine, the longest waiting first.

    Args:
        connection: of the ledger.
        start: beginning of the digest.
        reasons: only these.
    """
    c = objects.c
    about = func.max(diary.c.at).label("at")
    digest = diary.c.ids["object"].as_string()
    since = select(digest.label("object"), about).where(diary.c.kind == "quarantined").group_by(digest).subquery()
    query = (
        select(objects, crops.c.votes, crops.c.reason.label("crop_reason"), since.c.at)
        .outerjoin(crops, crops.c.object == c.digest)
        .outerjoin(since, since.c.object == c.digest)
        .where(c.state == "quarantined", c.digest.startswith(start, autoescape=True))
        .order_by(func.coalesce(since.c.at, c.received_at), c.digest)
    )
    rows = connection.execute(query if reasons is None else query.where(c.reason.in_(reasons)))
    return [
        Quarantined(
            row.digest, row.study, row.reason or "", row.crop_reason, Instance.from_facts(row.facts), row.size,
            row.at or row.received_at, row.votes,
        )
        for row in rows
    ]  # fmt: skip


def discard(connection: Connection, found: Quarantined, *, by: str, why: str, now: datetime) -> None:
    """An object stops waiting: it stays stored, forwarded and in quarantine, and is never analysed.

    Args:
        connection: with a write transaction open.
        found: the object.
        by: who decided.
        why: what they wrote.
        now: aware time.

    Raises:
        NotWaiting: something else than the crop keeps it there, or it was discarded already.
    """
    if found.reason == DISCARDED:
        raise NotWaiting("it was discarded already")
    if found.crop_reason is None:
        raise NotWaiting(f"it is there for {found.reason}; `dicom-ai reasons` says what helps")
    mine = (objects.c.digest == found.digest) & (objects.c.state == "quarantined") & (objects.c.reason == found.reason)
    if not connection.execute(update(objects).where(mine).values(reason=DISCARDED)).rowcount:
        raise NotWaiting("it left the quarantine in the meantime")
    connection.execute(insert(discards).values(object=found.digest, by=by, at=now, why=why))
    events.add(connection, now, "discarded", {"object": found.digest, "reason": found.reason, "by": by})
