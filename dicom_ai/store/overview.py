"""What stands in the ledger, as rows a person or a program reads: studies, sets, deliveries, alarms.

Every question is one statement for a whole page of studies, so that a year of them is no slower than a day. Rows hold
our own ids, codes, counts and times; only `identities` speaks of patients, and only to who asked for it. What this is
not: a way to change anything.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, select
from sqlalchemy.engine import RowMapping

from dicom_ai.store.outbox import QUEUED
from dicom_ai.store.tables import (
    alarms,
    analyses,
    conflicts,
    deliveries,
    events,
    identity,
    members,
    objects,
    sets,
    studies,
)

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Wanted:
    """Which deliveries are meant; what is None or empty does not narrow the choice.

    Attributes:
        ids: of deliveries.
        states: of deliveries.
        study: our id, or its beginning.
    """

    ids: tuple[int, ...] = ()
    states: tuple[str, ...] = ()
    study: str | None = None
    destination: str | None = None

    def where(self) -> list[ColumnElement[bool]]:
        """As conditions on the table `deliveries`."""
        c = deliveries.c
        found: list[ColumnElement[bool]] = [c.id.in_(self.ids)] if self.ids else []
        found += [c.state.in_(self.states)] if self.states else []
        found += [c.study.startswith(self.study, autoescape=True)] if self.study else []
        return found + ([c.destination == self.destination] if self.destination else [])


def studies_since(connection: Connection, since: datetime | None) -> list[str]:
    """Our ids of the studies that something arrived for since then, the newest first."""
    query = select(studies.c.id).order_by(studies.c.last_at.desc(), studies.c.id)
    return list(connection.scalars(query.where(studies.c.last_at >= since) if since is not None else query))


def study_rows(connection: Connection, ids: Sequence[str]) -> Rows:
    """One row per study, in the order given: times, objects, sets, deliveries, open alarms and conflicts.

    `objects` counts by state, `reasons` the quarantined ones by reason, `deliveries` by destination and state.
    """
    times = _by(connection, select(studies).where(studies.c.id.in_(ids)), "id")
    counted = _counts(connection, objects.c.study, objects.c.state, ids)
    reasons = _counts(connection, objects.c.study, objects.c.reason, ids, objects.c.state == "quarantined")
    sent = _deliveries_of(connection, ids)
    its_sets = _sets_of(connection, ids)
    open_alarms = _counts(connection, alarms.c.study, alarms.c.reason, ids, alarms.c.state == "open")
    open_conflicts = _counts(connection, conflicts.c.study, conflicts.c.kind, ids, conflicts.c.state == "open")
    return [
        {
            "study": study,
            "first_at": times[study]["first_at"],
            "last_at": times[study]["last_at"],
            "objects": counted.get(study, {}),
            "reasons": reasons.get(study, {}),
            "sets": its_sets.get(study, []),
            "deliveries": sent.get(study, {}),
            "alarms": open_alarms.get(study, {}),
            "conflicts": sum(open_conflicts.get(study, {}).values()),
        }
        for study in ids
        if study in times
    ]


def find_study(connection: Connection, start: str) -> list[str]:
    """Our ids that begin with this text."""
    found = select(studies.c.id).where(studies.c.id.startswith(start, autoescape=True)).order_by(studies.c.id)
    return list(connection.scalars(found))


def events_of(connection: Connection, study: str) -> Rows:
    """The diary of one study, in the order it was written: entries that name it or something that belongs to it."""
    mine = {
        "study": {study},
        "object": set(connection.scalars(select(objects.c.digest).where(objects.c.study == study))),
        "set": set(connection.scalars(select(sets.c.id).where(sets.c.study == study))),
        "delivery": set(connection.scalars(select(deliveries.c.id).where(deliveries.c.study == study))),
        "conflict": set(connection.scalars(select(conflicts.c.id).where(conflicts.c.study == study))),
    }
    keys = select(analyses.c.key).join(sets, sets.c.id == analyses.c.set).where(sets.c.study == study)
    mine["analysis"] = set(connection.scalars(keys))
    begun = connection.scalar(select(studies.c.first_at).where(studies.c.id == study))
    query = select(events).order_by(events.c.seq)
    rows = connection.execute(query.where(events.c.at >= begun) if begun is not None else query)
    return [
        {"at": row.at, "kind": row.kind, "ids": row.ids}
        for row in rows
        if any(row.ids.get(name) in values for name, values in mine.items())
    ]


def delivery_rows(connection: Connection, wanted: Wanted, limit: int | None = None) -> Rows:
    """Deliveries, the newest first; `set` is that of a result."""
    c = deliveries.c
    query: Select[Any] = (
        select(deliveries, analyses.c.set, studies.c.last_at)
        .join(studies, studies.c.id == c.study)
        .outerjoin(analyses, analyses.c.key == c.analysis)
        .where(*wanted.where())
        .order_by(c.id.desc())
    )
    names = ("id", "study", "destination", "kind", "state", "reason", "last_status", "attempts", "queued_at", "next_at")
    rows = connection.execute(query.limit(limit) if limit else query).mappings()
    return [{**{name: row[name] for name in names}, "set": row["set"]} for row in rows]


def count_deliveries(connection: Connection, wanted: Wanted) -> int:
    """How many there are."""
    return connection.scalar(select(func.count()).select_from(deliveries).where(*wanted.where())) or 0


def oldest_waiting(connection: Connection) -> datetime | None:
    """Since when the delivery that waits longest is queued; None when none waits."""
    oldest: datetime | None = connection.scalar(
        select(func.min(deliveries.c.queued_at)).where(deliveries.c.state == QUEUED)
    )
    return oldest


def alarm_rows(connection: Connection, *, everything: bool = False) -> Rows:
    """Open alarms, the newest first; with `everything` those that are over too."""
    query = select(alarms).order_by(alarms.c.id.desc())
    rows = connection.execute(query if everything else query.where(alarms.c.state == "open")).mappings()
    return [dict(row) for row in rows]


def identities(connection: Connection, ids: Collection[str]) -> dict[str, Rows]:
    """Who the patient of a study is, as every different object said it. Show it only to who asked for it."""
    query = select(identity).where(identity.c.study.in_(ids)).order_by(identity.c.id)
    found: dict[str, Rows] = defaultdict(list)
    for row in connection.execute(query).mappings():
        found[row["study"]].append(
            {name: row[name] for name in ("patient_name", "patient_id", "birth_date", "accession")}
        )
    return found


def newest_time(connection: Connection) -> datetime | None:
    """The latest moment the ledger speaks of as past."""
    times = [connection.scalar(select(func.max(column))) for column in (studies.c.last_at, alarms.c.at)]
    times.append(connection.scalar(select(events.c.at).order_by(events.c.seq.desc()).limit(1)))
    return max((time for time in times if time is not None), default=None)


def _sets_of(connection: Connection, ids: Collection[str]) -> dict[str, Rows]:
    """The newest revision of every task of a study, with what was found in it."""
    size = select(members.c.set, func.count().label("count")).group_by(members.c.set).subquery()
    query = (
        select(sets, size.c.count)
        .outerjoin(size, size.c.set == sets.c.id)
        .where(sets.c.study.in_(ids))
        .order_by(sets.c.task, sets.c.revision)
    )
    newest: dict[tuple[str, str], RowMapping] = {}
    for row in connection.execute(query).mappings():
        newest[row["study"], row["task"]] = row
    said = _findings_of(connection, [row["id"] for row in newest.values()])
    found: dict[str, Rows] = defaultdict(list)
    for (study, task), row in newest.items():
        kept = {"set": row["id"], "task": task, "state": row["state"], "revision": row["revision"]}
        times = {"closed_at": row["closed_at"], "answered_at": row["answered_at"]}
        found[study].append({**kept, "objects": row["count"] or 0, **times, **said.get(row["id"], _NOTHING_SAID)})
    return found


_NOTHING_SAID: Mapping[str, Any] = {"findings": [], "grade": None}


def _findings_of(connection: Connection, ids: Collection[str]) -> dict[str, dict[str, Any]]:
    """What the newest analysis of each set says: its findings and the grade of the model that said it."""
    query = select(analyses.c.set, analyses.c.content).where(analyses.c.set.in_(ids)).order_by(analyses.c.created_at)
    found = {}
    for row in connection.execute(query):
        findings = [
            {"class": one["class_id"], "state": one["state"], "probability": round(float(one["probability"]), 4)}
            for one in row.content.get("findings", [])
        ]
        grade = row.content.get("analysis", {}).get("model", {}).get("grade")
        found[row.set] = {"findings": findings, "grade": grade}
    return found


def _deliveries_of(connection: Connection, ids: Collection[str]) -> dict[str, dict[str, dict[str, int]]]:
    c = deliveries.c
    query = select(c.study, c.destination, c.state, func.count().label("n")).where(c.study.in_(ids))
    found: dict[str, dict[str, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
    for row in connection.execute(query.group_by(c.study, c.destination, c.state).order_by(c.destination, c.state)):
        found[row.study][row.destination][row.state] = row.n
    return {study: dict(places) for study, places in found.items()}


def _counts(
    connection: Connection, key: Any, value: Any, ids: Collection[str], *where: ColumnElement[bool]
) -> dict[str, dict[str, int]]:
    """Key -> value -> count, for the keys given."""
    query = select(key.label("key"), value.label("value"), func.count().label("n")).where(key.in_(ids), *where)
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for row in connection.execute(query.group_by(key, value).order_by(value)):
        found[row.key][str(row.value)] = row.n
    return found


def _by(connection: Connection, query: Select[Any], name: str) -> dict[Any, RowMapping]:
    rows: Iterable[RowMapping] = connection.execute(query).mappings()
    return {row[name]: row for row in rows}
