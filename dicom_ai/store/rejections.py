"""Objects that people make about our results: a verdict or a rejection note, queued where the result had arrived.

A recalled result stops wherever it waits; the note follows to every destination that has it. Deliveries of such
objects name no analysis: nothing that holds, supersedes or bars a result may keep its recall at home. What this is
not: the objects themselves (`report`).
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select, update

from dicom_ai.ports import Enqueue
from dicom_ai.store import events, outages, tables
from dicom_ai.store.database import insert_once
from dicom_ai.store.outbox import ARRIVED, DEAD, HELD, QUEUED, open_outbox
from dicom_ai.store.recalls import RESULTS


@dataclass(frozen=True)
class Arrived:
    """What of an analysis lies at some destinations: SOP Instance UID and digest of each object, sorted."""

    analysis: str
    study: str
    objects: tuple[tuple[str, str], ...]
    destinations: tuple[str, ...]


@dataclass(frozen=True)
class Made:
    """An object about a result; its file lies in the store. `kind` is verdict or recall."""

    kind: str
    uid: str
    sop_class: str
    digest: str


def analyses_meant(connection: Connection, target: str) -> list[str]:
    """Analyses of a study (our id, or its first digits) or of a report (SOP Instance UID), the oldest first.

    Empty when there is none, or when the digits begin more than one study.
    """
    c = tables.analyses.c
    of_report = select(tables.results.c.analysis).where(
        tables.results.c.uid == target, tables.results.c.kind == "report"
    )
    found = list(connection.scalars(of_report))
    if found:
        return found
    begins = tables.sets.c.study.startswith(target, autoescape=True)
    query = select(c.key, tables.sets.c.study).join(tables.sets, tables.sets.c.id == c.set).where(begins)
    rows = connection.execute(query.order_by(c.created_at, c.key)).all()
    return [row.key for row in rows] if len({row.study for row in rows}) == 1 else []


def arrived(connection: Connection, key: str) -> list[Arrived]:
    """What of an analysis has arrived, destinations that have the same together; nowhere: what was made, for nobody."""
    d, r = tables.deliveries.c, tables.results.c
    study = connection.execute(
        select(tables.sets.c.study).join(tables.analyses, tables.analyses.c.set == tables.sets.c.id)
        .where(tables.analyses.c.key == key)
    ).scalar_one()  # fmt: skip
    there = select(d.destination, r.uid, r.digest).join(tables.results, r.uid == d.result)
    there = there.where(d.analysis == key, d.kind.in_(RESULTS), d.state.in_(ARRIVED)).order_by(d.destination, r.uid)
    by_place: dict[str, list[tuple[str, str]]] = {}
    for row in connection.execute(there):
        by_place.setdefault(row.destination, []).append((row.uid, row.digest))
    alike: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for place, objects in by_place.items():
        alike.setdefault(tuple(objects), []).append(place)
    if not alike:
        made = select(r.uid, r.digest).where(r.analysis == key, r.kind.in_(RESULTS)).order_by(r.uid)
        objects_made = tuple((row.uid, row.digest) for row in connection.execute(made))
        alike = {objects_made: []} if objects_made else {}
    return [Arrived(key, study, objects, tuple(places)) for objects, places in alike.items()]


def send(connection: Connection, made: Made, about: Arrived, *, now: datetime, enqueue: Enqueue, by: str) -> int:
    """Put an object into the outbox of the destinations that have what it is about, once; return how many.

    Call it in the transaction of what else follows; nothing is sent before that commits.
    """
    row = {"uid": made.uid, "analysis": about.analysis, "kind": made.kind, "sop_class": made.sop_class}
    insert_once(connection, tables.results, {"uid": made.uid}, {**row, "digest": made.digest, "created_at": now})
    count = 0
    for place in about.destinations:
        key = {"destination": place, "result": made.uid}
        values = {**key, "study": about.study, "kind": made.kind, "state": QUEUED, "attempts": 0, "queued_at": now}
        if insert_once(connection, tables.deliveries, key, values):
            outages.call_now(connection, place, now)
            open_outbox(connection, about.study, place, now=now, delay_s=0.0, enqueue=enqueue)
            count += 1
    ids = {"analysis": about.analysis, "study": about.study, "result": made.uid, "count": count, "by": by}
    events.add(connection, now, f"{made.kind}_made", ids)
    return count


def stop(connection: Connection, key: str, now: datetime) -> int:
    """Give up what of an analysis still waits, for good; return how much that was."""
    c = tables.deliveries.c
    waiting = update(tables.deliveries).where(c.analysis == key, c.kind.in_(RESULTS), c.state.in_((QUEUED, HELD)))
    count = connection.execute(waiting.values(state=DEAD, reason="recalled", next_at=None)).rowcount
    if count:
        events.add(connection, now, "recalled", {"analysis": key, "count": count})
    return count


def places(found: Collection[Arrived]) -> list[str]:
    """Names of the destinations, sorted."""
    return sorted({place for one in found for place in one.destinations})
