"""Storage Commitment requests: written down with the job that reports on them, answered from what is really kept.

An object is kept when the ledger knows its UIDs and its file lies under its digest. What this is not: the messages
(`receive.commitment`, `deliver.commitment`), or what a request says about the end of an exam (`end_of_exam`).
"""

from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from dicom_ai.errors import ConflictingInstance
from dicom_ai.ports import CommitmentRequest, Enqueue, Job
from dicom_ai.store import events
from dicom_ai.store.end_of_exam import received
from dicom_ai.store.tables import commitments, conflicts

QUEUED, REPORTED, DEAD = "queued", "reported", "dead"

# Failure Reason (0008,1197), PS3.3 C.14.1.1
NO_SUCH_INSTANCE = 0x0112
CLASS_CONFLICT = 0x0119
PROCESSING_FAILURE = 0x0110

Reference = tuple[str, str]  # SOP Class UID, SOP Instance UID


@dataclass(frozen=True)
class Commitment:
    """A request that waits for its report."""

    id: int
    peer: str
    called: str
    transaction_uid: str
    listed: tuple[Reference, ...]
    attempts: int
    queued_at: datetime


@dataclass(frozen=True)
class Kept:
    """What a report says: the references that are kept, and the others with their Failure Reason."""

    stored: list[Reference] = field(default_factory=list)
    failed: list[tuple[Reference, int]] = field(default_factory=list)


def admit(connection: Connection, request: CommitmentRequest, *, now: datetime, enqueue: Enqueue) -> bool:
    """Write a request down with its job.

    Args:
        connection: with a write transaction open.
        request: of a peer. The same one again is reported on once, unless its report was given up.
        now: aware time.
        enqueue: of the engine.

    Returns:
        Whether a report will follow that would not have without this call.

    Raises:
        ConflictingInstance: the peer used the Transaction UID for another list.
    """
    c = commitments.c
    mine = (c.peer == request.calling_ae) & (c.transaction_uid == request.transaction_uid)
    found = connection.execute(select(commitments).where(mine).with_for_update()).first()
    listed = [list(reference) for reference in request.listed]
    if found is None:
        values = {"peer": request.calling_ae, "called": request.called_ae, "listed": listed, "state": QUEUED}
        added = insert(commitments).values(transaction_uid=request.transaction_uid, attempts=0, queued_at=now, **values)
        number = int(connection.execute(added.returning(c.id)).scalar_one())
    elif found.listed != listed:
        raise ConflictingInstance("the Transaction UID was used for another list")
    elif found.state != DEAD:
        return False
    else:
        number = int(found.id)
        again = {"state": QUEUED, "reason": None, "queued_at": now, "attempts": found.attempts + 1}
        connection.execute(update(commitments).where(c.id == number).values(**again))
    enqueue(connection, job(number, request.calling_ae, found.attempts + 1 if found else 0))
    events.add(connection, now, "commitment_asked", {"commitment": number, "count": len(listed)})
    return True


def job(number: int, peer: str, attempts: int, *, delay_s: float = 0.0, suffix: str = "") -> Job:
    """The job that reports on a request: one at a time per peer, beside the deliveries."""
    name = f"commitment:{number}:{attempts}{suffix}"
    return Job("commitment", name, "deliver", (str(number),), delay_s, f"commitment:{peer}")


def waiting(connection: Connection, number: int) -> Commitment | None:
    """The request, None if nothing more is to be reported."""
    c = commitments.c
    row = connection.execute(select(commitments).where(c.id == number, c.state == QUEUED)).first()
    if row is None:
        return None
    listed = tuple((sop_class, uid) for sop_class, uid in row.listed)
    return Commitment(row.id, row.peer, row.called, row.transaction_uid, listed, row.attempts, row.queued_at)


def unreported(connection: Connection, suffix: str) -> dict[str, Job]:
    """A job, whose name ends in `suffix`, for every request that waits; by the first argument of its job."""
    c = commitments.c
    rows = connection.execute(select(c.id, c.peer, c.attempts).where(c.state == QUEUED).order_by(c.id)).all()
    return {str(row.id): job(row.id, row.peer, row.attempts, suffix=suffix) for row in rows}


def judge(connection: Connection, asked: Commitment, has_file: Callable[[str], bool]) -> Kept:
    """Say of every reference whether it is kept at this moment.

    Args:
        connection: a view of the ledger.
        asked: the request.
        has_file: whether the file of a digest lies in the store.

    Returns:
        Stored: an object of this UID and class is in the ledger, whatever became of it, and every file of the UID is
        there. Failed: 0x0112 no such object instance, 0x0119 another class, 0x0110 the file is gone, or an object of
        this UID from this peer was refused because it has other content than the kept one.
    """
    uids = {uid for _, uid in asked.listed}
    classes: dict[str, set[str]] = defaultdict(set)
    digests: dict[str, set[str]] = defaultdict(set)
    for row in received(connection, uids):
        classes[row.sop_uid].add(row.sop_class)
        digests[row.sop_uid].add(row.digest)
    refused = _refused(connection, asked.peer)
    kept = Kept()
    for sop_class, uid in asked.listed:
        if uid not in classes:
            kept.failed.append(((sop_class, uid), NO_SUCH_INSTANCE))
        elif sop_class not in classes[uid]:
            kept.failed.append(((sop_class, uid), CLASS_CONFLICT))
        elif uid in refused or not all(has_file(digest) for digest in digests[uid]):
            kept.failed.append(((sop_class, uid), PROCESSING_FAILURE))
        else:
            kept.stored.append((sop_class, uid))
    return kept


def record(connection: Connection, asked: Commitment, **values: Any) -> None:
    """Write down an attempt to report: the new state, reason and last status."""
    c = commitments.c
    attempt = {"attempts": asked.attempts + 1, **values}
    connection.execute(update(commitments).where(c.id == asked.id, c.state == QUEUED).values(**attempt))


def _refused(connection: Connection, peer: str) -> Collection[str]:
    """UIDs under which this peer sent an object that was not kept because another one stands."""
    c = conflicts.c
    return set(connection.scalars(select(c.sop_uid).where(c.kind == "object", c.state == "refused", c.peer == peer)))
