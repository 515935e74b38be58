"""What a contradiction does to results that were made: undelivered ones wait, delivered ones are listed for recall.

Nothing here takes a result back from a destination: DICOM has no way to. The list names what a person must mark or
delete there. What this is not: which objects contradict each other (`conflicts`), and what a person decided
(`resolution`).
"""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, delete, insert, or_, select, update

from dicom_ai.ports import Enqueue
from dicom_ai.store.alarms import raise_alarm
from dicom_ai.store.outbox import ARRIVED, DEAD, HELD, QUEUED, SENT, open_outbox
from dicom_ai.store.tables import NOT_STANDING, analyses, conflicts, deliveries, members, objects, recalls, results

RESULTS = ("report", "capture")
_WAITING = (QUEUED, HELD)
_HELD_FOR = "identity_conflict"
_BARRED_FOR = (_HELD_FOR, "replaced", "mixed_patient")


def hold(connection: Connection, conflict: int, studies: Collection[str], now: datetime) -> int:
    """Hold the queued results of these studies and list for recall what has arrived; return how many are held."""
    is_result = deliveries.c.study.in_(studies) & deliveries.c.kind.in_(RESULTS)
    waiting = update(deliveries).where(is_result, deliveries.c.state == QUEUED)
    held = connection.execute(waiting.values(state=HELD, reason=_HELD_FOR, next_at=None)).rowcount
    recall(connection, conflict, is_result, now)
    return held


def recall(connection: Connection, conflict: int, which: ColumnElement[bool], now: datetime) -> None:
    """List those of the deliveries that have arrived, each once."""
    listed = select(recalls.c.delivery).where(recalls.c.conflict == conflict)
    arrived = select(deliveries.c.id).where(which, deliveries.c.state.in_(ARRIVED), deliveries.c.id.not_in(listed))
    rows = [{"conflict": conflict, "delivery": found, "at": now} for found in connection.scalars(arrived).all()]
    if rows:
        connection.execute(insert(recalls), rows)


def forget(connection: Connection, conflict: int) -> None:
    """What a conflict had listed for recall is right after all."""
    connection.execute(delete(recalls).where(recalls.c.conflict == conflict))


def fault_of(connection: Connection, set_id: str) -> str | None:
    """Why results of a set must never go out, as a reason code; None when its objects may be reported on.

    A closed set never changes, so what a person decided about its members later speaks against its results.
    """
    found = connection.execute(
        select(objects.c.state, objects.c.study)
        .join(members, members.c.object == objects.c.digest)
        .where(members.c.set == set_id, or_(objects.c.state.in_(NOT_STANDING), objects.c.reason == "mixed_patient"))
    ).all()
    if any(row.state in NOT_STANDING for row in found):
        return "replaced"
    is_recalled = select(results.c.uid).join(analyses, analyses.c.key == results.c.analysis)
    if connection.scalar(is_recalled.where(analyses.c.set == set_id, results.c.kind == "recall").limit(1)) is not None:
        return "recalled"
    is_open = (conflicts.c.kind == "patient") & (conflicts.c.state == "open")
    of_study = select(conflicts.c.id).where(is_open, conflicts.c.study.in_({row.study for row in found}))
    if not found or connection.scalar(of_study.limit(1)) is not None:
        return None  # nobody has said yet which patient is right
    return "mixed_patient"


def settle_results(connection: Connection, conflict: int, studies: Collection[str], now: datetime) -> None:
    """After a decision: results of a set at fault never go out, and those that arrived are to be recalled; no others.

    Args:
        connection: with a write transaction open, the objects in the state the decision gave them.
        conflict: the one that was decided.
        studies: of the objects it was about.
        now: aware time.
    """
    c = deliveries.c
    of_sets = select(analyses.c.set).join(deliveries, c.analysis == analyses.c.key).where(c.study.in_(studies))
    right = []
    for set_id in connection.scalars(of_sets.distinct()).all():
        of_set = c.analysis.in_(select(analyses.c.key).where(analyses.c.set == set_id))
        fault = fault_of(connection, set_id)
        if fault is None:
            right.append(set_id)
            continue
        waiting = update(deliveries).where(of_set, c.state.in_(_WAITING))
        connection.execute(waiting.values(state=DEAD, reason=fault, next_at=None))
        recall(connection, conflict, of_set, now)
    sound = select(c.id).join(analyses, analyses.c.key == c.analysis).where(analyses.c.set.in_(right))
    connection.execute(delete(recalls).where(recalls.c.conflict == conflict, recalls.c.delivery.in_(sound)))


def release(connection: Connection, study: str, *, now: datetime, enqueue: Enqueue) -> int:
    """Queue what was held for a contradiction in this study again; return how much. Call when none is open."""
    c = deliveries.c
    held = (c.study == study) & (c.state == HELD) & (c.reason == _HELD_FOR)
    places = connection.scalars(select(c.destination).where(held).distinct().order_by(c.destination)).all()
    # the retention time begins anew: the wait for a person is none of the destination's
    again = update(deliveries).where(held).values(state=QUEUED, reason=None, next_at=None, queued_at=now)
    count = connection.execute(again).rowcount
    for destination in places:
        open_outbox(connection, study, destination, now=now, delay_s=0.0, enqueue=enqueue)
    return count


def withdraw(connection: Connection, conflict: int, digest: str, now: datetime) -> None:
    """An object was replaced: what waits to be forwarded never goes, what arrived is listed."""
    mine = deliveries.c.object == digest
    waiting = update(deliveries).where(mine, deliveries.c.state.in_(_WAITING))
    connection.execute(waiting.values(state=DEAD, reason="replaced", next_at=None))
    recall(connection, conflict, mine, now)


def arrived_all_the_same(connection: Connection, delivery: int, now: datetime) -> None:
    """A delivery has reached its destination; if a contradiction had stopped it on its way, list it for recall.

    Call it in the transaction that records the arrival, before that.
    """
    c = deliveries.c
    found = connection.execute(select(c.study, c.state, c.reason).where(c.id == delivery).with_for_update()).first()
    if found is not None and found.state == DEAD and found.reason == "recalled":
        raise_alarm(connection, "recalled", now, study=found.study, delivery=delivery)
    if found is None or found.state not in (HELD, DEAD) or found.reason not in _BARRED_FOR:
        return
    first = select(objects.c.study).where(objects.c.digest == conflicts.c.kept).scalar_subquery()
    is_about = or_(conflicts.c.study == found.study, first == found.study)
    newest = select(conflicts.c.id).where(is_about, conflicts.c.state != "refused")
    conflict = connection.scalar(newest.order_by(conflicts.c.state, conflicts.c.id.desc()).limit(1))  # open ones first
    if conflict is not None:
        connection.execute(update(deliveries).where(c.id == delivery).values(state=SENT))
        recall(connection, conflict, c.id == delivery, now)
