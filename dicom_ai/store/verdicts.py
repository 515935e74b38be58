"""What readers said of our findings: rows of verified documents, and which documents were looked at.

A document that is read twice makes its rows once; the last verified document about an analysis is the verdict on it,
and what it does not name was not assessed. A reader is a number here; the name is in the table `readers` alone and is
shown on demand. What this is not: how a document is read (`report.verdict_rows`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, delete, insert, select, tuple_

from dicom_ai.instance import STRUCTURED_REPORTS
from dicom_ai.ports import Job
from dicom_ai.store import events
from dicom_ai.store.database import insert_once
from dicom_ai.store.outbox import ARRIVED
from dicom_ai.store.tables import (
    NOT_STANDING,
    analyses,
    deliveries,
    objects,
    readers,
    readings,
    results,
    sets,
    studies,
    verdicts,
)

VERDICT = "verdict"
"""Outcome of a reading that made rows; any other says why there are none. Also their documents' kind among results."""

ROW = (
    "tracking_uid", "image", "frame", "class", "probability", "threshold", "device_uid", "verdict", "reader_class",
    "region",
)  # fmt: skip
"""The columns that one finding of a document fills."""


@dataclass(frozen=True)
class Ours:
    """A report of ours: the analysis it tells of, where its file is, and whose study it is (our id, and its UID)."""

    uid: str
    analysis: str
    digest: str
    study: str
    study_uid: str


@dataclass(frozen=True)
class Reported:
    """A report that arrived somewhere, and when it was made (aware)."""

    ours: Ours
    made_at: datetime


@dataclass(frozen=True)
class Verified:
    """A verified document as the ledger keeps it; `rows` are mappings of the columns of `verdicts`."""

    uid: str
    digest: str
    reader: str
    organisation: str
    verified_at: datetime
    rows: Sequence[Mapping[str, Any]]


def reading_job(digest: str, suffix: str = "") -> Job:
    """The job that looks at a structured report."""
    return Job("verdict", f"verdict:{digest}{suffix}", "settle", (digest,))


def ours_among(connection: Connection, uids: Collection[str]) -> Ours | None:
    """The first report of ours with one of these SOP Instance UIDs, or that a verdict with one of them is about.

    A reader who corrects a verdict may name that as the predecessor, and not the report behind it.
    """
    by_uid = _ours().order_by(results.c.uid).limit(1)
    found = connection.execute(by_uid.where(results.c.uid.in_(uids))).first()
    if found is None:
        corrected = select(verdicts.c.analysis).where(verdicts.c.sr_uid.in_(uids))
        found = connection.execute(by_uid.where(results.c.analysis.in_(corrected))).first()
    return Ours(*found) if found is not None else None


def _ours(*more: ColumnElement[Any]) -> Select[Any]:
    """Reports, as the fields of `Ours`, and `more` behind them."""
    fields = (results.c.uid, results.c.analysis, results.c.digest, studies.c.id.label("study"), studies.c.study_uid)
    return (
        select(*fields, *more)
        .join(analyses, analyses.c.key == results.c.analysis)
        .join(sets, sets.c.id == analyses.c.set)
        .join(studies, studies.c.id == sets.c.study)
        .where(results.c.kind == "report")
    )


def reported(
    connection: Connection, destination: str, since: datetime | None, until: datetime | None
) -> list[Reported]:
    """The reports of ours that arrived at a destination, one of each study, the oldest first.

    Args:
        connection: with a transaction open.
        destination: name of it.
        since: aware time; reports made before it do not count. None: no bound.
        until: likewise those made then or later.
    """
    d, made = deliveries.c, analyses.c.created_at
    there = select(d.analysis).where(d.destination == destination, d.kind == "report", d.state.in_(ARRIVED))
    query = _ours(made).where(analyses.c.key.in_(there)).order_by(made, results.c.uid)
    if since is not None:
        query = query.where(made >= since)
    if until is not None:
        query = query.where(made < until)
    newest_of = {row.study: Reported(Ours(*row[:5]), row.created_at) for row in connection.execute(query)}
    return sorted(newest_of.values(), key=lambda one: one.made_at)


def is_ours(connection: Connection, uid: str) -> bool:
    """Whether an object of this SOP Instance UID is a report or another result of ours, but no verdict."""
    mine = select(results.c.uid).where(results.c.uid == uid, results.c.kind != VERDICT)
    return connection.scalar(mine) is not None


def saved(connection: Connection, uid: str) -> Verified | None:
    """The document of this SOP Instance UID as the ledger keeps it; None when it has no rows."""
    c = verdicts.c
    query = select(verdicts, readers.c.name, readers.c.organisation).join(readers, readers.c.id == c.reader)
    rows = connection.execute(query.where(c.sr_uid == uid).order_by(c.tracking_uid)).mappings().all()
    if not rows:
        return None
    first = rows[0]
    said = [{name: row[name] for name in ROW} for row in rows]
    return Verified(uid, first["object"], first["name"], first["organisation"], first["verified_at"], said)


def save(connection: Connection, about: Ours, document: Verified, now: datetime) -> None:
    """Write the rows of a document; those it had before, from an earlier form of it, are replaced."""
    c = verdicts.c
    connection.execute(delete(verdicts).where(c.sr_uid == document.uid))
    common = {
        "sr_uid": document.uid,
        "object": document.digest,
        "study": about.study,
        "analysis": about.analysis,
        "reader": _reader(connection, document.reader, document.organisation),
        "verified_at": document.verified_at,
    }
    connection.execute(insert(verdicts), [{**row, **common} for row in document.rows])
    if note(connection, document.digest, VERDICT, now):
        ids = {"object": document.digest, "study": about.study, "analysis": about.analysis}
        events.add(connection, now, "verdict", {**ids, "count": len(document.rows)})


def note(connection: Connection, digest: str, outcome: str, now: datetime) -> bool:
    """Write down that a structured report was looked at; False when it was before."""
    values = {"digest": digest, "outcome": outcome, "at": now}
    return insert_once(connection, readings, {"digest": digest}, values)


def outcome_of(connection: Connection, digest: str) -> str | None:
    """What came of looking at a structured report; None when nobody has."""
    return connection.scalar(select(readings.c.outcome).where(readings.c.digest == digest))


def unread(connection: Connection) -> list[str]:
    """Digests of the structured reports that stand and nobody has looked at."""
    c = objects.c
    query = select(c.digest).where(c.sop_class.in_(STRUCTURED_REPORTS), c.state.not_in(NOT_STANDING))
    return list(connection.scalars(query.where(c.digest.not_in(select(readings.c.digest))).order_by(c.digest)))


def rows_in_force(connection: Connection, *, with_identity: bool) -> list[dict[str, Any]]:
    """The rows of the last verified document about each analysis, as they are printed, in the order of time.

    A document whose object was set aside for another one of its UID does not count.
    """
    aside = select(objects.c.digest).where(objects.c.state.in_(NOT_STANDING))
    c = verdicts.c
    stands = c.object.not_in(aside)
    documents = select(c.analysis, c.verified_at, c.sr_uid).where(stands).distinct()
    last: dict[str, tuple[datetime, str]] = {}
    for row in connection.execute(documents):
        last[row.analysis] = max(last.get(row.analysis, (row.verified_at, row.sr_uid)), (row.verified_at, row.sr_uid))
    query = select(verdicts, readers.c.name, readers.c.organisation).join(readers, readers.c.id == c.reader)
    query = query.order_by(c.verified_at, c.sr_uid, c.tracking_uid).where(stands)
    in_force = set(last.items())
    found = connection.execute(query).mappings()
    return [
        _printed(row, with_identity=with_identity)
        for row in found
        if (row["analysis"], (row["verified_at"], row["sr_uid"])) in in_force
    ]


def _printed(row: Mapping[Any, Any], *, with_identity: bool) -> dict[str, Any]:
    printed = {"row": "verdict", **{column.name: row[column.name] for column in verdicts.columns}}
    printed["verified_at"] = row["verified_at"].isoformat()
    if with_identity:
        printed["reader"] = {"id": row["reader"], "name": row["name"], "organisation": row["organisation"]}
    return printed


def _reader(connection: Connection, name: str, organisation: str) -> int:
    """The number of a reader, made when the name is new."""
    who = {"name": _storable(name), "organisation": _storable(organisation)}
    insert_once(connection, readers, who, who)
    key = tuple_(readers.c.name, readers.c.organisation) == (who["name"], who["organisation"])
    return int(connection.execute(select(readers.c.id).where(key)).scalar_one())


def _storable(text: str) -> str:
    """Without what a database refuses in a text: NUL (PostgreSQL) and lone surrogates (both)."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
