"""Source sets: which objects belong together. One study, one task, cumulative.

A set is opened by the first object of a study and task. A closed set never changes: a late object opens a revision
over all objects that stand, which names the set before it. What this is not: when a set is closed (`settling`).
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, literal, select, update

from dicom_ai.ports import Job
from dicom_ai.store import events
from dicom_ai.store.settling import look, set_digest
from dicom_ai.store.tables import NOT_STANDING, crops, members, objects, sets


def add_member(
    connection: Connection, study: str, task: str, digest: str, *, now: datetime, quiet_s: tuple[float, float]
) -> Job | None:
    """Put an object into the open set of its study and task; open a set or a revision if there is none.

    Args:
        connection: with a write transaction open.
        study: our id of the study.
        task: task name.
        digest: of the object.
        now: aware time.
        quiet_s: quiet time of a first set and of a revision, seconds.

    Returns:
        The first look at a set that was opened now, to be enqueued in this transaction.
    """
    newest = _newest(connection, study, task)
    if newest is not None and newest.state == "open":
        _fill(connection, newest.id, [digest])
        return None
    set_id = _open(connection, study, task, newest, now)
    if newest is not None:
        # what a person replaced stays in the closed set, which never changes, and goes no further
        standing = objects.c.state.not_in(NOT_STANDING)
        earlier = select(literal(set_id), members.c.object).join(objects, objects.c.digest == members.c.object)
        earlier = earlier.where(members.c.set == newest.id, standing)
        connection.execute(insert(members).from_select(["set", "object"], earlier))
    _fill(connection, set_id, [digest])
    _give_another_chance(connection, set_id)
    return look(set_id, 0, quiet_s[0] if newest is None else quiet_s[1])


def revise(
    connection: Connection, study: str, task: str, digests: Sequence[str], *, now: datetime, delay_s: float = 0.0
) -> Job | None:
    """Make exactly these objects the newest set of a study and task: the open one, or a revision opened now.

    Args:
        connection: with a write transaction open.
        study: our id of the study.
        task: task name.
        digests: of the objects. None at all end an open set without an analysis; a closed one stands as it is.
        now: aware time.
        delay_s: until the first look, seconds.

    Returns:
        The first look at a revision, to be enqueued in this transaction.
    """
    newest = _newest(connection, study, task)
    if newest is not None and newest.state == "open":
        connection.execute(delete(members).where(members.c.set == newest.id, members.c.object.not_in(digests)))
        _fill(connection, newest.id, digests)
        _give_another_chance(connection, newest.id)
        if not digests:
            _end_empty(connection, newest, now)
        return None
    if not digests:
        return None
    set_id = _open(connection, study, task, newest, now)
    _fill(connection, set_id, digests)
    _give_another_chance(connection, set_id)
    return look(set_id, 0, delay_s)


def _newest(connection: Connection, study: str, task: str) -> Row[Any] | None:
    of_study = select(sets).where(sets.c.study == study, sets.c.task == task)
    return connection.execute(of_study.order_by(sets.c.revision.desc()).limit(1).with_for_update()).first()


def _open(connection: Connection, study: str, task: str, newest: Row[Any] | None, now: datetime) -> str:
    revision, predecessor = (newest.revision + 1, newest.id) if newest is not None else (1, None)
    values = {"study": study, "task": task, "opened_at": now, "revision": revision, "predecessor": predecessor}
    set_id = _set_id(study, task, revision)
    connection.execute(insert(sets).values(id=set_id, state="open", looks=1, **values))
    return set_id


def _fill(connection: Connection, set_id: str, digests: Sequence[str]) -> None:
    there = set(connection.scalars(select(members.c.object).where(members.c.set == set_id)))
    rows = [{"set": set_id, "object": digest} for digest in dict.fromkeys(digests) if digest not in there]
    if rows:
        connection.execute(insert(members), rows)


def _give_another_chance(connection: Connection, set_id: str) -> None:
    """What an earlier set kept from its members ends with that set; what the crop found wrong with one stays so."""
    mine = select(members.c.object).where(members.c.set == set_id)
    blind = select(crops.c.object).where(crops.c.status != "cropped")
    ended = (objects.c.state == "quarantined") & objects.c.digest.in_(mine) & objects.c.digest.not_in(blind)
    ended &= objects.c.reason.is_distinct_from("discarded")
    connection.execute(update(objects).where(ended).values(state="stored", reason=None))


def _end_empty(connection: Connection, found: Row[Any], now: datetime) -> None:
    ended = {"state": "closed", "digest": set_digest(()), "closed_at": now, "answered_at": now}
    connection.execute(update(sets).where(sets.c.id == found.id).values(**ended))
    events.add(connection, now, "set_ended", {"set": found.id, "reason": "no_task"})


def _set_id(study: str, task: str, revision: int) -> str:
    return "e" + hashlib.sha256(f"set\0{study}\0{task}\0{revision}".encode()).hexdigest()[:24]
