"""What follows from an object that arrived: the rows and jobs of one commit.

Study, identity, object, deliveries and membership are written together with the jobs that act on them. What this is
not: the transaction itself and the files (that is `commit`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from dicom_ai.instance import ULTRASOUND_CLASSES, Identity, Instance
from dicom_ai.ports import Enqueue, Job, Spooled
from dicom_ai.site import SiteTables
from dicom_ai.store import membership, tables
from dicom_ai.store.outbox import QUEUED, open_outbox

TaskOf = Callable[[Instance, str, str], str | None]
"""(facts, calling AE, called AE) -> task name, None if no route matches."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a commit needs of the settings.

    Attributes:
        quiet_s, late_quiet_s: quiet time of a first set and of a revision, seconds.
        forward_wait_s: objects arriving within this time share a delivery, seconds.
        receiver: name of this receiver, the same after a restart; at most 64 characters.
    """

    quiet_s: float
    late_quiet_s: float
    forward_wait_s: float
    receiver: str


class Intake:
    """The rows of one transaction, gathered and written in few statements."""

    def __init__(
        self,
        connection: Connection,
        *,
        now: datetime,
        tables: SiteTables,
        task_of: TaskOf,
        study_id: Callable[[str], str],
        rules: Rules,
    ) -> None:
        """Begin with a write transaction open."""
        self._connection, self._now, self._rules = connection, now, rules
        self._task_of, self._study_id = task_of, study_id
        self._forwarding = [place.name for place in tables.destinations if place.forward == "all"]
        self._studies: dict[str, str] = {}
        self._identities: dict[tuple[str, Identity], int] = {}
        self._associations: set[tuple[str, str]] = set()
        self._jobs: list[Job] = []
        self._deliveries: list[dict[str, Any]] = []
        self._events: list[dict[str, Any]] = []

    def admit(self, spooled: Spooled) -> None:
        """An object the ledger did not know, its file kept already."""
        study = self._touch(spooled)
        task = self._task(spooled)
        state, reason = _state(spooled.instance, task)
        self._connection.execute(
            insert(tables.objects).values(
                digest=spooled.digest,
                sop_uid=spooled.instance.sop_instance_uid,
                sop_class=spooled.instance.sop_class_uid,
                transfer_syntax=spooled.instance.transfer_syntax_uid,
                size=spooled.size,
                peer=spooled.calling_ae,
                called=spooled.called_ae,
                received_at=self._now,
                state=state,
                reason=reason,
                study=study,
                identity=self._identity(study, spooled.identity),
                facts=spooled.instance.facts(),
            )
        )
        self._note("received", spooled, study)
        for destination in self._forwarding:
            self._deliveries.append(
                {
                    "study": study,
                    "destination": destination,
                    "kind": "source",
                    "object": spooled.digest,
                    "state": QUEUED,
                    "attempts": 0,
                    "queued_at": self._now,
                }
            )
        if task is not None:
            self._join(study, task, spooled.digest)
        elif reason == "no_task":
            self._note("unrouted", spooled, study)

    def repeat(self, spooled: Spooled) -> None:
        """An object the ledger knows: the study is still being sent, nothing else."""
        self._touch(spooled)

    def conflict(self, spooled: Spooled, kept: str) -> None:
        """Another object under the SOP Instance UID of the object `kept`; it is not kept."""
        self._connection.execute(
            insert(tables.conflicts).values(
                kind="object",
                study=self._touch(spooled),
                sop_uid=spooled.instance.sop_instance_uid,
                kept=kept,
                digest=spooled.digest,
                peer=spooled.calling_ae,
                at=self._now,
                differs=[],
                state="refused",
            )
        )
        self._events.append(
            {
                "at": self._now,
                "kind": "conflict",
                "ids": {"object": spooled.digest, "kept": kept, "association": spooled.association},
            }
        )

    def finish(self, enqueue: Enqueue) -> None:
        """Write what was gathered, and the jobs."""
        if self._deliveries:
            self._connection.execute(insert(tables.deliveries), self._deliveries)
        for study, destination in sorted({(row["study"], row["destination"]) for row in self._deliveries}):
            open_outbox(
                self._connection,
                study,
                destination,
                now=self._now,
                delay_s=self._rules.forward_wait_s,
                enqueue=enqueue,
            )
        if self._events:
            self._connection.execute(insert(tables.events), self._events)
        for job in self._jobs:
            enqueue(self._connection, job)

    def _task(self, spooled: Spooled) -> str | None:
        if not spooled.instance.is_ultrasound:
            return None
        return self._task_of(spooled.instance, spooled.calling_ae, spooled.called_ae)

    def _join(self, study: str, task: str, digest: str) -> None:
        quiet_s = (self._rules.quiet_s, self._rules.late_quiet_s)
        job = membership.add_member(self._connection, study, task, digest, now=self._now, quiet_s=quiet_s)
        if job is not None:
            self._jobs.append(job)

    def _touch(self, spooled: Spooled) -> str:
        """The study's row, its last time, and that this association stores into it."""
        uid = spooled.instance.study_instance_uid
        study = self._studies.get(uid)
        if study is None:
            study = self._studies[uid] = self._study_id(uid)
            self._touch_study(study, uid)
        if spooled.association and (spooled.association, study) not in self._associations:
            self._associations.add((spooled.association, study))
            self._open_association(spooled.association, study)
        return study

    def _touch_study(self, study: str, uid: str) -> None:
        table = tables.studies
        last_at = self._connection.scalar(select(table.c.last_at).where(table.c.id == study).with_for_update())
        if last_at is None:
            self._connection.execute(
                insert(table).values(id=study, study_uid=uid, first_at=self._now, last_at=self._now)
            )
        elif self._now > last_at:
            self._connection.execute(update(table).where(table.c.id == study).values(last_at=self._now))

    def _open_association(self, association: str, study: str) -> None:
        table = tables.associations
        is_known = self._connection.scalar(select(table.c.id).where(table.c.id == association, table.c.study == study))
        if is_known is None:
            self._connection.execute(
                insert(table).values(id=association, study=study, receiver=self._rules.receiver, opened_at=self._now)
            )

    def _identity(self, study: str, identity: Identity) -> int:
        found = self._identities.get((study, identity))
        if found is None:
            found = self._identities[(study, identity)] = self._find_identity(study, identity)
        return found

    def _find_identity(self, study: str, identity: Identity) -> int:
        table = tables.identity
        values = {
            "study": study,
            "patient_id": _storable(identity.patient_id),
            "patient_name": _storable(identity.patient_name),
            "birth_date": _storable(identity.birth_date),
            "accession": _storable(identity.accession),
        }
        found = self._connection.scalar(select(table.c.id).where(*(table.c[name] == values[name] for name in values)))
        if found is not None:
            return int(found)
        return int(self._connection.execute(insert(table).values(**values).returning(table.c.id)).scalar_one())

    def _note(self, kind: str, spooled: Spooled, study: str) -> None:
        ids = {"object": spooled.digest, "study": study, "association": spooled.association}
        self._events.append({"at": self._now, "kind": kind, "ids": ids})


def _state(instance: Instance, task: str | None) -> tuple[str, str | None]:
    if instance.is_own_result:
        return "forwarded-only", "own_result"
    if instance.sop_class_uid not in ULTRASOUND_CLASSES:
        return "forwarded-only", "not_ultrasound"
    return "stored", None if task is not None else "no_task"


def _storable(text: str) -> str:
    """Without what a database refuses in a text: NUL (PostgreSQL) and lone surrogates (both)."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
