"""What a person decides about a contradiction, and what follows: one transaction, jobs included.

Of two objects one stands and the other is set aside for good; of a set with two patients one patient stays. Results
made from what was set aside never go out, and a revision answers for what stands. What this is not: a deletion;
every object stays in the store.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select, update

from dicom_ai.instance import Instance
from dicom_ai.ports import Enqueue
from dicom_ai.store import conflicts as questions
from dicom_ai.store import events, membership, recalls
from dicom_ai.store.alarms import end_alarms
from dicom_ai.store.intake import Intake
from dicom_ai.store.tables import NOT_STANDING, conflicts, members, objects, sets

KEPT, NEW = "kept", "new"


class UnknownChoice(LookupError):
    """There is no such conflict, or it has no such choice; the text names what there is."""


class AlreadyDecided(Exception):
    """The conflict is not open; the text says what was decided, or what else to do."""


@dataclass(frozen=True)
class Decision:
    """Which conflict, what was chosen (kept or new, or the number of a patient), and by whom."""

    conflict: int
    choice: str
    by: str


class Resolver:
    """Carries out decisions within one transaction."""

    def __init__(
        self,
        connection: Connection,
        intake: Intake,
        *,
        now: datetime,
        instance_of: Callable[[str], Instance],
        enqueue: Enqueue,
    ) -> None:
        """Begin with a write transaction open.

        Args:
            connection: of that transaction.
            intake: over the same connection; for an object that stands from now on.
            now: aware time.
            instance_of: reads the facts of a stored object, by its digest.
            enqueue: of the engine.
        """
        self._connection, self._intake, self._now = connection, intake, now
        self._instance_of, self._enqueue = instance_of, enqueue

    def resolve(self, decision: Decision) -> None:
        """Carry out a decision.

        Raises:
            UnknownChoice: say it again with what the text names.
            AlreadyDecided: nothing is left to decide.
            UnreadableInstance, OSError: the object chosen cannot be read from the store.
        """
        found = self._open(decision.conflict)
        others = self._others(found) if decision.choice == NEW else []
        about = {study for one in (found, *others) for study in questions.studies_of(self._connection, one)}
        questions.lock(self._connection, about)
        if found.kind == "patient":
            self._choose_patient(found, decision.choice)
        elif decision.choice == KEPT:
            self._set_aside(found.digest)
        elif decision.choice == NEW:
            self._replace(found)
        else:
            raise UnknownChoice(f"conflict {found.id} is between two objects: choose {KEPT} or {NEW}")
        self._close(found, decision)
        self._ask_again(found, others)
        recalls.settle_results(self._connection, found.id, about, self._now)
        self._intake.finish(self._enqueue)
        for study in sorted(about):
            if questions.hold_reason(self._connection, study) is None:
                recalls.release(self._connection, study, now=self._now, enqueue=self._enqueue)

    def _open(self, conflict: int) -> Row[Any]:
        query = select(conflicts).where(conflicts.c.id == conflict).with_for_update()
        found = self._connection.execute(query).first()
        if found is None:
            raise UnknownChoice(f"there is no conflict {conflict}; `dicom-ai conflicts list` shows those that are open")
        if found.state == "refused":
            raise AlreadyDecided(
                f"conflict {conflict}: the later object was refused and is not kept; "
                'set receive.conflict = "keep" and let the device send it again'
            )
        if found.state != "open":
            raise AlreadyDecided(
                f"conflict {conflict} was resolved by {found.by} at {found.resolved_at:%Y-%m-%d %H:%M} UTC "
                f"(chosen: {found.choice}); `dicom-ai conflicts list` shows those that are open"
            )
        return found

    def _close(self, found: Row[Any], decision: Decision) -> None:
        decided = {"state": "resolved", "choice": decision.choice, "by": decision.by, "resolved_at": self._now}
        self._connection.execute(update(conflicts).where(conflicts.c.id == found.id).values(**decided))
        end_alarms(self._connection, self._now, conflict=found.id)
        ids = {"conflict": found.id, "kind": found.kind, "choice": decision.choice}
        events.add(self._connection, self._now, "conflict_resolved", ids)

    def _set_aside(self, digest: str) -> None:
        aside = update(objects).where(objects.c.digest == digest)
        self._connection.execute(aside.values(state="replaced", reason="replaced"))

    def _replace(self, found: Row[Any]) -> None:
        """The later object stands: forwarded, and in the newest set of its study without the first one."""
        instance = self._instance_of(found.digest)
        newest = self._newest_sets_of(found.kept)
        self._set_aside(found.kept)  # before the other stands: a UID has one at a time
        self._intake.stand(found.digest, instance)
        for study, task in newest:
            self._leave(study, task, found.kept)
        recalls.withdraw(self._connection, found.id, found.kept, self._now)

    def _newest_sets_of(self, digest: str) -> list[tuple[str, str]]:
        """(study, task) of the sets whose newest revision holds an object."""
        later = sets.alias()
        has_later = select(later.c.id).where(later.c.predecessor == sets.c.id).exists()
        query = select(sets.c.study, sets.c.task).join(members, members.c.set == sets.c.id)
        query = query.where(members.c.object == digest, ~has_later).order_by(sets.c.task)
        return [(row.study, row.task) for row in self._connection.execute(query)]

    def _leave(self, study: str, task: str, digest: str) -> None:
        """The newest set of a study and task without one object: a revision over the others, if there are any."""
        newest = select(sets.c.id).where(sets.c.study == study, sets.c.task == task).order_by(sets.c.revision.desc())
        of_set = select(members.c.object).where(members.c.set == newest.limit(1).scalar_subquery())
        standing = of_set.join(objects, objects.c.digest == members.c.object).where(
            objects.c.state.not_in(NOT_STANDING), objects.c.digest != digest
        )
        self._revise(study, task, self._connection.scalars(standing).all())

    def _revise(self, study: str, task: str, digests: Collection[str]) -> None:
        job = membership.revise(self._connection, study, task, sorted(digests), now=self._now)
        if job is not None:
            self._enqueue(self._connection, job)

    def _others(self, found: Row[Any]) -> list[Row[Any]]:
        """Other open conflicts about the same UID."""
        c = conflicts.c
        same = (c.sop_uid == found.sop_uid) & (c.state == "open") & (c.id != found.id)
        return list(self._connection.execute(select(conflicts).where(same).order_by(c.id)))

    def _ask_again(self, found: Row[Any], others: Collection[Row[Any]]) -> None:
        """Other conflicts about the UID are between their later object and the one that stands from now on."""
        for other in others:
            self._connection.execute(update(conflicts).where(conflicts.c.id == other.id).values(kept=found.digest))
            end_alarms(self._connection, self._now, conflict=other.id)
            recalls.forget(self._connection, other.id)
            questions.weigh(self._connection, other.id, self._now)

    def _choose_patient(self, found: Row[Any], choice: str) -> None:
        """Objects of other patients leave the set, for good; the chosen one's are a revision."""
        of_set = self._connection.execute(select(sets).where(sets.c.id == found.set)).one()
        there = questions.patients_to_choose(self._connection, found)
        chosen = [rows for rows in there.values() if choice in {str(number) for number, _ in rows}]
        if not chosen:
            numbers = ", ".join(str(rows[0][0]) for rows in there.values())
            raise UnknownChoice(f"conflict {found.id} is between patients: choose one of {numbers}")
        right = {digest for _, digest in chosen[0]}
        wrong = {digest for rows in there.values() for _, digest in rows} - right
        out = update(objects).where(objects.c.digest.in_(wrong), objects.c.state.not_in(NOT_STANDING))
        self._connection.execute(out.values(state="quarantined", reason="mixed_patient"))
        self._revise(of_set.study, of_set.task, right)
