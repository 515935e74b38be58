"""What follows from an object that arrived: the rows and jobs of one commit.

Study, identity, object, deliveries and membership are written together with the jobs that act on them. What this is
not: the transaction itself and the files (that is `commit`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, insert, select, update

from dicom_ai.instance import STRUCTURED_REPORTS, Identity, Instance
from dicom_ai.ports import Enqueue, Job, Spooled
from dicom_ai.site import SiteTables
from dicom_ai.store import conflicts, membership, tables, verdicts
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
        conflict: what is done with another object under a kept SOP Instance UID.
    """

    quiet_s: float
    late_quiet_s: float
    forward_wait_s: float
    receiver: str
    conflict: Literal["keep", "refuse"] = "keep"


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
        task = self._task(spooled.instance, spooled.calling_ae, spooled.called_ae)
        state, reason = _state(spooled.instance, task)
        self._insert(spooled, study, state, reason)
        self._note("received", spooled, study)
        self._follow(study, spooled.digest, task, reason)
        self._read_later(spooled.instance, spooled.digest)

    def repeat(self, spooled: Spooled) -> None:
        """An object the ledger knows: the study is still being sent.

        Work is made of it only if no route took it before and one does now: a person has mended the table and sent
        the object again.
        """
        study, table = self._touch(spooled), tables.objects
        waits = (table.c.digest == spooled.digest) & (table.c.state == "stored") & (table.c.reason == "no_task")
        if self._connection.scalar(select(table.c.digest).where(waits)) is None:
            return
        task = self._task(spooled.instance, spooled.calling_ae, spooled.called_ae)
        if task is not None:
            self._connection.execute(update(table).where(waits).values(reason=None))
            self._note("routed", spooled, study)
            self._join(study, task, spooled.digest)

    def contradict(self, spooled: Spooled) -> None:
        """Another object under a SOP Instance UID that has one: kept, and nothing is made of it until decided."""
        study = self._touch(spooled)
        self._insert(spooled, study, "conflict", "conflict")
        self._note("received", spooled, study)
        conflicts.contradict(self._connection, spooled.digest, self._now)

    def refuse(self, spooled: Spooled) -> None:
        """The same, but the object is not kept."""
        later = {
            "study": self._touch(spooled),
            "sop_uid": spooled.instance.sop_instance_uid,
            "digest": spooled.digest,
            "peer": spooled.calling_ae,
        }
        said = conflicts.said_by(_storable_identity(spooled.identity), spooled.instance.study_instance_uid)
        conflicts.refuse(self._connection, later, said, self._now)

    def stand(self, digest: str, instance: Instance) -> None:
        """A kept object that waited for a decision counts from now on: what follows from an arrival follows now.

        Args:
            digest: of the object.
            instance: its facts read again, because the ledger keeps no text that people typed and routes ask for it.
        """
        table = tables.objects
        found = self._connection.execute(select(table).where(table.c.digest == digest)).one()
        task = self._task(instance, found.peer, found.called)
        state, reason = _state(instance, task)
        self._connection.execute(update(table).where(table.c.digest == digest).values(state=state, reason=reason))
        self._follow(found.study, digest, task, reason)
        self._read_later(instance, digest)

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

    def _insert(self, spooled: Spooled, study: str, state: str, reason: str | None) -> None:
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

    def _follow(self, study: str, digest: str, task: str | None, reason: str | None) -> None:
        """What follows from an object that stands: it is forwarded, and joins the set of its task."""
        row = {"study": study, "kind": "source", "object": digest, "state": QUEUED, "attempts": 0}
        self._deliveries += [{**row, "destination": place, "queued_at": self._now} for place in self._forwarding]
        if task is not None:
            self._join(study, task, digest)
        elif reason == "no_task":
            self._events.append({"at": self._now, "kind": "unrouted", "ids": {"object": digest, "study": study}})

    def _read_later(self, instance: Instance, digest: str) -> None:
        """A structured report may be a reader's verdict on one of ours; the work process looks."""
        if instance.sop_class_uid in STRUCTURED_REPORTS:
            self._jobs.append(verdicts.reading_job(digest))

    def _task(self, instance: Instance, calling_ae: str, called_ae: str) -> str | None:
        if not instance.is_ultrasound:
            return None
        return self._task_of(instance, calling_ae, called_ae)

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
        else:  # whatever the scanner said before of what it sent was not all of it
            values = {"last_at": max(self._now, last_at), "rest_at": None}
            self._connection.execute(update(table).where(table.c.id == study).values(**values))

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
        stored = _storable_identity(identity)
        values = {
            "study": study,
            "patient_id": stored.patient_id,
            "patient_name": stored.patient_name,
            "birth_date": stored.birth_date,
            "accession": stored.accession,
        }
        found = self._connection.scalar(select(table.c.id).where(*(table.c[name] == values[name] for name in values)))
        if found is not None:
            return int(found)
        return int(self._connection.execute(insert(table).values(**values).returning(table.c.id)).scalar_one())

    def _note(self, kind: str, spooled: Spooled, study: str) -> None:
        ids = {"object": spooled.digest, "study": study, "association": spooled.association}
        self._events.append({"at": self._now, "kind": kind, "ids": ids})


def _state(instance: Instance, task: str | None) -> tuple[str, str | None]:
    if instance.barred is not None:
        return "forwarded-only", instance.barred
    return "stored", None if task is not None else "no_task"


def _storable_identity(identity: Identity) -> Identity:
    return Identity(
        _storable(identity.patient_id),
        _storable(identity.patient_name),
        _storable(identity.birth_date),
        _storable(identity.accession),
    )


def _storable(text: str) -> str:
    """Without what a database refuses in a text: NUL (PostgreSQL) and lone surrogates (both)."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
