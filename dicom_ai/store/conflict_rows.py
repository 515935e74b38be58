"""Conflicts as rows for the person who decides: what differs, what there is to choose, what to recall.

Names and IDs are in a row only when asked for. What this is not: the decision (`resolution`).
"""

from typing import Any

from sqlalchemy import Connection, Row, select

from dicom_ai.store.conflicts import patients_to_choose, studies_of
from dicom_ai.store.tables import conflicts, deliveries, identity, objects, recalls, results, sets, studies

_WHO = ("patient_id", "patient_name", "birth_date", "accession")


def conflict_rows(connection: Connection, *, everything: bool, with_identity: bool) -> list[dict[str, Any]]:
    """Conflicts in the order they came up.

    Args:
        connection: of the ledger.
        everything: those refused or resolved as well.
        with_identity: add who the patient is, per side.
    """
    query = select(conflicts).order_by(conflicts.c.id)
    found = connection.execute(query if everything else query.where(conflicts.c.state == "open")).all()
    return [_row(connection, one, with_identity=with_identity) for one in found]


def _row(connection: Connection, one: Row[Any], *, with_identity: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "row": "conflict",
        "id": one.id,
        "kind": one.kind,
        "state": one.state,
        "study": one.study,
        "studies": studies_of(connection, one),
        "at": one.at.isoformat(),
        "peer": one.peer,
        "differs": one.differs,
    }
    sides = _objects(connection, one) if one.kind == "object" else _patients(connection, one)
    if with_identity:
        for side in sides:
            side["identity"] = _who(connection, side.pop("_identity"))
    else:
        for side in sides:
            del side["_identity"]
    if one.kind == "patient":
        about = connection.execute(select(sets.c.task).where(sets.c.id == one.set)).one()
        row |= {"set": one.set, "task": about.task}
    return row | {
        "choices": sides,
        "choice": one.choice,
        "by": one.by,
        "resolved_at": one.resolved_at.isoformat() if one.resolved_at is not None else None,
        "recall": _recall(connection, one.id),
    }


def _objects(connection: Connection, one: Row[Any]) -> list[dict[str, Any]]:
    """The two sides; of an object that was refused nothing but its digest is there."""
    c = objects.c
    sides = []
    for choice, digest in (("kept", one.kept), ("new", one.digest)):
        there = connection.execute(select(c.sop_class, c.identity).where(c.digest == digest)).first()
        facts = {"sop_class": there.sop_class if there else None, "_identity": there.identity if there else None}
        sides.append({"choose": choice, "digest": digest, **facts})
    return sides


def _patients(connection: Connection, one: Row[Any]) -> list[dict[str, Any]]:
    """A number per patient: that of the first identity read of theirs."""
    sides = patients_to_choose(connection, one).values()
    return [{"choose": str(rows[0][0]), "objects": len(rows), "_identity": rows[0][0]} for rows in sides]


def _who(connection: Connection, number: int | None) -> dict[str, str] | None:
    query = select(identity, studies.c.study_uid).join(studies, studies.c.id == identity.c.study)
    found = connection.execute(query.where(identity.c.id == number)).mappings().first()
    return {name: found[name] for name in (*_WHO, "study_uid")} if found is not None else None


def _recall(connection: Connection, conflict: int) -> list[dict[str, Any]]:
    c = deliveries.c
    query = (
        select(c.id, c.destination, c.kind, c.state, c.result, c.analysis, objects.c.sop_uid)
        .join(recalls, recalls.c.delivery == c.id)
        .outerjoin(objects, objects.c.digest == c.object)
        .outerjoin(results, results.c.uid == c.result)
        .where(recalls.c.conflict == conflict)
        .order_by(c.id)
    )
    return [
        {
            "delivery": row.id,
            "destination": row.destination,
            "kind": row.kind,
            "sop_uid": row.result or row.sop_uid,
            "state": row.state,
            "recalled": _note(connection, row.destination, row.analysis),
        }
        for row in connection.execute(query)
    ]


def _note(connection: Connection, destination: str, analysis: str | None) -> str | None:
    """State of the note that takes this result back at its destination; None: nobody has recalled it there."""
    c = deliveries.c
    query = select(c.state).join(results, results.c.uid == c.result).order_by(c.id.desc())
    sent = query.where(c.kind == "recall", c.destination == destination, results.c.analysis == analysis)
    return connection.scalar(sent.limit(1))
