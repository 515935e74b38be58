"""Contradictions: one SOP Instance UID with two contents, one set with two patients. They wait for a person.

Until then the later object is kept and nothing is made of it. When the two disagree about who the patient is or which
study it is, no result of the study leaves the house either. Rows name attributes that differ, never their values.
What this is not: the decision (`resolution`), or what becomes of results (`recalls`).
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, insert, or_, select, update

from dicom_ai.instance import Identity
from dicom_ai.store import events, recalls
from dicom_ai.store.alarms import raise_alarm
from dicom_ai.store.tables import (
    NOT_STANDING,
    analyses,
    conflicts,
    deliveries,
    identity,
    members,
    objects,
    sets,
    studies,
)

IDENTITY = ("PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID")
"""What decides whose pictures these are and where a report is filed. A difference in one of them holds results back;
Accession Number does not decide it: orders are corrected after the fact, for the same patient and study."""

Said = Mapping[str, str]
"""Keyword -> what an object says of patient and study."""


def said_by(patient: Identity, study_uid: str) -> Said:
    """What an object says, from its own data set."""
    return {
        "PatientID": _plain(patient.patient_id),
        "PatientName": _name(patient.patient_name),
        "PatientBirthDate": _plain(patient.birth_date),
        "AccessionNumber": _plain(patient.accession),
        "StudyInstanceUID": _plain(study_uid),
    }


def standing(connection: Connection, sop_uid: str) -> str:
    """Digest of the object that stands for a UID."""
    query = select(objects.c.digest).where(objects.c.sop_uid == sop_uid, objects.c.state.not_in(NOT_STANDING))
    return str(connection.execute(query).scalar_one())


def contradict(connection: Connection, digest: str, now: datetime) -> int:
    """Write down that an object in state `conflict` contradicts the one that stands; return the conflict's id."""
    c = objects.c
    later = connection.execute(select(c.sop_uid, c.study, c.peer).where(c.digest == digest)).one()
    first = standing(connection, later.sop_uid)
    adding = insert(conflicts).values(
        kind="object",
        study=later.study,
        sop_uid=later.sop_uid,
        kept=first,
        digest=digest,
        peer=later.peer,
        at=now,
        differs=[],
        state="open",
    )
    conflict = int(connection.execute(adding.returning(conflicts.c.id)).scalar_one())
    weigh(connection, conflict, now)
    events.add(connection, now, "conflict", {"object": digest, "kept": first, "conflict": conflict})
    return conflict


def weigh(connection: Connection, conflict: int, now: datetime) -> None:
    """Say in what the two objects of an open conflict differ, raise the alarm, hold results where it is identity."""
    found = connection.execute(select(conflicts).where(conflicts.c.id == conflict)).one()
    differs = _differs(_said(connection, found.kept), _said(connection, found.digest))
    connection.execute(update(conflicts).where(conflicts.c.id == conflict).values(differs=differs))
    grave = is_grave("object", differs)
    reason = "identity_conflict" if grave else "conflict"
    raise_alarm(connection, reason, now, study=found.study, conflict=conflict)
    if grave:
        about = studies_of(connection, found)
        lock(connection, about)
        recalls.hold(connection, conflict, about, now)


def refuse(connection: Connection, later: Mapping[str, Any], said: Said, now: datetime) -> None:
    """Write down that an object was refused because another one stands for its UID; once per content.

    Args:
        connection: with a write transaction open.
        later: of the refused object: study (our id), sop_uid, digest, peer.
        said: what it says of patient and study.
        now: aware time.
    """
    c = conflicts.c
    if connection.scalar(select(c.id).where(c.digest == later["digest"], c.state == "refused").limit(1)) is not None:
        return
    first = standing(connection, later["sop_uid"])
    differs = _differs(_said(connection, first), said)
    connection.execute(
        insert(conflicts).values(kind="object", kept=first, at=now, differs=differs, state="refused", **later)
    )
    events.add(connection, now, "conflict", {"object": later["digest"], "kept": first})


def patients(connection: Connection, set_id: str) -> dict[str, list[tuple[int, str]]]:
    """Patient ID without padding -> (id of its row in `identity`, digest) of the members of a set, in order."""
    query = (
        select(objects.c.digest, objects.c.identity, identity.c.patient_id)
        .join(members, members.c.object == objects.c.digest)
        .join(identity, identity.c.id == objects.c.identity)
        .where(members.c.set == set_id)
        .order_by(objects.c.identity, objects.c.digest)
    )
    found: dict[str, list[tuple[int, str]]] = {}
    for row in connection.execute(query):
        found.setdefault(_plain(row.patient_id), []).append((row.identity, row.digest))
    return found


def patients_to_choose(connection: Connection, conflict: Row[Any]) -> dict[str, list[tuple[int, str]]]:
    """`patients` of the newest set of the study and task a conflict of kind patient is about."""
    about = connection.execute(select(sets.c.study, sets.c.task).where(sets.c.id == conflict.set)).one()
    newest = select(sets.c.id).where(sets.c.study == about.study, sets.c.task == about.task)
    return patients(connection, str(connection.scalar(newest.order_by(sets.c.revision.desc()).limit(1))))


def quarantine_if_mixed(connection: Connection, found: Row[Any], now: datetime) -> bool:
    """Whether a set that was closed now holds objects of two patients; then it ends here and waits for a person.

    Args:
        connection: with a write transaction open.
        found: the row of the set, already closed.
        now: aware time.
    """
    count = {patient: len(rows) for patient, rows in patients(connection, found.id).items()}
    if len(count) < 2:
        return False
    mixed = select(members.c.object).where(members.c.set == found.id)
    wrong = update(objects).where(objects.c.digest.in_(mixed), objects.c.state.not_in(NOT_STANDING))
    connection.execute(wrong.values(state="quarantined", reason="mixed_patient"))
    connection.execute(update(sets).where(sets.c.id == found.id).values(answered_at=now))
    conflict = _mixed(connection, found, now)
    raise_alarm(connection, "mixed_patient", now, study=found.study, set=found.id, conflict=conflict)
    lock(connection, [found.study])
    recalls.hold(connection, conflict, [found.study], now)
    ids = {"set": found.id, "study": found.study, "count": sum(count.values())}
    events.add(connection, now, "quarantined", {**ids, "reason": "mixed_patient", "conflict": conflict})
    return True


def bar(connection: Connection, study: str, set_id: str) -> tuple[str, str] | None:
    """What keeps the results of a set from going out: the state and reason their deliveries must have.

    Call it in every transaction that queues results; it holds a lock on the study against a conflict that is written
    down at the same time. None: nothing is in the way.
    """
    lock(connection, [study])
    fault = recalls.fault_of(connection, set_id)
    if fault is not None:
        return "dead", fault
    held_for = hold_reason(connection, study)
    return ("held", held_for) if held_for is not None else None


def stop(connection: Connection, delivery: int) -> bool:
    """The last look before a delivery is sent: a result that must not go out gets the state it must have.

    Args:
        connection: with a write transaction open.
        delivery: one that was picked up.

    Returns:
        Whether it must not be sent, for this or because somebody stopped it before.
    """
    c = deliveries.c
    query = select(c.state, c.kind, c.study, analyses.c.set).outerjoin(analyses, analyses.c.key == c.analysis)
    found = connection.execute(query.where(c.id == delivery)).first()
    if found is None or found.state != "queued":
        return True
    barred = bar(connection, found.study, found.set) if found.set is not None else None
    if barred is None:
        return False
    state, reason = barred
    connection.execute(update(deliveries).where(c.id == delivery).values(state=state, reason=reason, next_at=None))
    return True


def hold_reason(connection: Connection, study: str) -> str | None:
    """`identity_conflict` while an open conflict puts in doubt whose study this is, else None."""
    first, later = objects.alias(), objects.alias()
    is_open = select(conflicts.c.kind, conflicts.c.differs).where(
        conflicts.c.state == "open",
        or_(conflicts.c.study == study, first.c.study == study, later.c.study == study),
    )
    both = conflicts.outerjoin(first, first.c.digest == conflicts.c.kept).outerjoin(
        later, later.c.digest == conflicts.c.digest
    )
    found = connection.execute(is_open.select_from(both)).all()
    return "identity_conflict" if any(is_grave(row.kind, row.differs) for row in found) else None


def is_grave(kind: str, differs: Collection[str]) -> bool:
    """Whether a conflict is about patient or study."""
    return kind == "patient" or bool(set(differs) & set(IDENTITY))


def studies_of(connection: Connection, conflict: Row[Any]) -> list[str]:
    """Our ids of the studies a conflict is about: one, or two when the objects name different ones."""
    query = select(objects.c.study).where(objects.c.digest.in_([conflict.kept, conflict.digest]))
    return sorted({conflict.study, *connection.scalars(query)})


def lock(connection: Connection, about: Collection[str]) -> None:
    """Let nobody else queue or hold results of these studies until this transaction ends (PostgreSQL)."""
    connection.execute(select(studies.c.id).where(studies.c.id.in_(about)).order_by(studies.c.id).with_for_update())


def _mixed(connection: Connection, found: Row[Any], now: datetime) -> int:
    """The open conflict of this study and task: the one there is, now about its newest set, or a new one."""
    c = conflicts.c
    same = select(c.id).join(sets, sets.c.id == c.set)
    same = same.where(and_(c.kind == "patient", c.state == "open", c.study == found.study, sets.c.task == found.task))
    conflict = connection.scalar(same.limit(1))
    if conflict is not None:
        connection.execute(update(conflicts).where(c.id == conflict).values(set=found.id))
        return int(conflict)
    values = {"study": found.study, "set": found.id, "at": now, "differs": ["PatientID"], "state": "open"}
    return int(connection.execute(insert(conflicts).values(kind="patient", **values).returning(c.id)).scalar_one())


def _said(connection: Connection, digest: str) -> Said:
    row = connection.execute(
        select(identity, studies.c.study_uid)
        .select_from(objects)
        .join(identity, identity.c.id == objects.c.identity)
        .join(studies, studies.c.id == objects.c.study)
        .where(objects.c.digest == digest)
    ).one()
    return said_by(Identity(row.patient_id, row.patient_name, row.birth_date, row.accession), row.study_uid)


def _differs(first: Said, later: Said) -> list[str]:
    return [keyword for keyword, value in first.items() if later[keyword] != value]


def _plain(text: str) -> str:
    return text.strip(" \0")


def _name(text: str) -> str:
    """Without padding and empty components at the end of a group, which PS3.5 6.2.1 lets a writer leave out."""
    return "=".join(group.rstrip("^ \0").lstrip(" ") for group in text.split("=")).rstrip("=")
