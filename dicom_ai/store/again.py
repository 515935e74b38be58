"""A study is gone through anew because a person asks for it: routes, crops and sets as if it had come just now.

Nothing that stands is deleted but crops: they are keyed by their object alone, so that those of an earlier version
of the crop, or made under smaller limits, would stay for ever. Here, and only here, they are made again. Scores are
keyed by the crop as well and stay good where the crop comes out the same; results keep their keys, so a study about
which nothing new can be said is not reported twice. What this is not: the commit (that is the caller's).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select, update

from dicom_ai.errors import DicomAIError, UnreadableInstance
from dicom_ai.instance import Instance
from dicom_ai.ports import Enqueue
from dicom_ai.store import events, membership
from dicom_ai.store.conflicts import hold_reason, lock
from dicom_ai.store.tables import NOT_STANDING, crops, members, objects, sets

TaskOf = Callable[[Instance, str, str], str | None]


class StudyInDoubt(DicomAIError):
    """An identity conflict of the study is open; decide it first with `dicom-ai conflicts resolve`."""


@dataclass(frozen=True)
class Again:
    """What became of the objects of a study.

    Attributes:
        tasks: task -> how many objects its set holds now.
        unrouted: objects no route matches.
        unreadable: objects whose file is gone or damaged; they stay as they were.
    """

    tasks: Mapping[str, int]
    unrouted: int
    unreadable: int


@dataclass(frozen=True, kw_only=True)
class Way:
    """What is needed to go through a study anew.

    Attributes:
        instance_of: reads the facts of a stored object by its digest; the ledger keeps no text that people typed,
            and routes ask for it.
        task_of: (facts, calling AE, called AE) -> task by the tables in force.
        by: who asks for it.
    """

    instance_of: Callable[[str], Instance]
    task_of: TaskOf
    enqueue: Enqueue
    by: str


def go_again(connection: Connection, study: str, way: Way, now: datetime) -> Again:
    """Route every standing ultrasound object of a study anew and open a revision per task over all of them.

    Args:
        connection: with a write transaction open.
        study: our id of the study.
        way: how.
        now: aware time.

    Raises:
        StudyInDoubt: an identity conflict is open.
    """
    lock(connection, [study])
    if hold_reason(connection, study) is not None:
        raise StudyInDoubt
    tasks: dict[str, list[str]] = {}
    unrouted: list[str] = []
    unreadable = 0
    for found in _candidates(connection, study):
        try:
            instance = way.instance_of(found.digest)
        except (UnreadableInstance, OSError):
            unreadable += 1
            continue
        task = way.task_of(instance, found.peer, found.called) if instance.is_ultrasound else None
        (tasks.setdefault(task, []) if task is not None else unrouted).append(found.digest)
    _forget([digest for digests in tasks.values() for digest in digests], connection)
    _say_unrouted(connection, unrouted)
    for task in sorted({*tasks, *_open_tasks(connection, study)}):
        job = membership.revise(connection, study, task, tasks.get(task, []), now=now)
        if job is not None:
            way.enqueue(connection, job)
    done = Again({task: len(digests) for task, digests in sorted(tasks.items())}, len(unrouted), unreadable)
    ids = {"study": study, "by": way.by, "count": sum(done.tasks.values())}
    events.add(connection, now, "again", ids)
    return done


def _candidates(connection: Connection, study: str) -> Sequence[Any]:
    """Objects that stand; not what a person has set aside for good: another patient's, or discarded."""
    c = objects.c
    stands = c.state.not_in((*NOT_STANDING, "forwarded-only"))
    query = select(c.digest, c.peer, c.called).where(c.study == study, stands).order_by(c.digest)
    is_aside = c.reason.is_not(None) & c.reason.in_(("mixed_patient", "discarded"))
    return connection.execute(query.where(~is_aside)).all()


def _forget(digests: list[str], connection: Connection) -> None:
    """Their crops, and what an earlier set or crop found wrong with them."""
    connection.execute(delete(crops).where(crops.c.object.in_(digests)))
    anew = objects.c.digest.in_(digests) & objects.c.state.in_(("stored", "quarantined"))
    connection.execute(update(objects).where(anew).values(state="stored", reason=None))


def _say_unrouted(connection: Connection, digests: list[str]) -> None:
    """An object that was analysed stays so: its result stands."""
    anew = objects.c.digest.in_(digests) & objects.c.state.in_(("stored", "quarantined"))
    connection.execute(update(objects).where(anew).values(state="stored", reason="no_task"))


def _open_tasks(connection: Connection, study: str) -> list[str]:
    """Tasks of open sets that have members: routed otherwise now, they may have none left."""
    has_members = select(members.c.object).where(members.c.set == sets.c.id).exists()
    query = select(sets.c.task).where(sets.c.study == study, sets.c.state == "open", has_members)
    return list(connection.scalars(query))
