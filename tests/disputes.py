"""Contradicting objects in a real ledger: send them, analyse and deliver by hand, decide, and what must always hold.

What this is not: the workflow. Results here are rows; what is in them is shown elsewhere.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select

from dicom_ai.instance import Instance
from dicom_ai.ports import Receipt
from dicom_ai.store import conflicts, outbox, recalls, settling, tables
from dicom_ai.store.analyses import unanswered_sets
from dicom_ai.store.database import read, write
from dicom_ai.store.intake import Intake
from dicom_ai.store.resolution import Decision, Resolver
from tests.ledger import Place

RESULTS = ("report", "capture")


@dataclass
class Dispute:
    """A place with people and a PACS around it."""

    here: Place

    def send(self, number: int, what: str = "a", *, patient: str = "P1", study: str = "1.2.9", **changes: Any) -> str:
        """One object over an association that ends; equal arguments make equal bytes. Return its digest."""
        content = f"{number} {what} {patient} {study}".encode()
        spooled = self.here.spooled(
            number, content=content, patient_id=patient, study_instance_uid=study, association="a1", **changes
        )
        assert self.here.keeper.keep([spooled]) == [Receipt(0)]
        self.here.keeper.end(["a1"])
        return spooled.digest

    def settle(self) -> None:
        """Every study comes to rest."""
        self.here.clock.forward(1000)
        with write(self.here.engine) as connection:
            for set_id in settling.open_sets(connection):
                settling.decide(connection, set_id, now=self.here.clock(), quiet_s=(60, 120), enqueue=self.here.jobs)

    def answer(self) -> None:
        """Every closed set gets an analysis, and what of it may go out is queued."""
        with write(self.here.engine) as connection:
            for set_id in unanswered_sets(connection):
                study = connection.scalar(select(tables.sets.c.study).where(tables.sets.c.id == set_id))
                key, now = f"key of {set_id}", self.here.clock()
                connection.execute(insert(tables.analyses).values(key=key, set=set_id, created_at=now, content={}))
                barred = conflicts.bar(connection, study, set_id)
                state, reason = barred or ("queued", None)
                for kind in RESULTS:
                    row = {"study": study, "destination": "pacs", "kind": kind, "analysis": key}
                    connection.execute(
                        insert(tables.deliveries).values(**row, state=state, reason=reason, attempts=0, queued_at=now)
                    )
                if state == "queued":
                    outbox.open_outbox(connection, study, "pacs", now=now, delay_s=0.0, enqueue=self.here.jobs)
                connection.execute(tables.sets.update().where(tables.sets.c.id == set_id).values(answered_at=now))

    def deliver(self) -> None:
        """The PACS takes everything that may go."""
        with write(self.here.engine) as connection:
            now = self.here.clock()
            for row in connection.execute(select(tables.outbox)).all():
                due = outbox.pick_up(
                    connection, row.study, row.destination, generation=row.generation, now=now, enqueue=self.here.jobs
                )
                for one in due:
                    if not conflicts.stop(connection, one.id):
                        recalls.arrived_all_the_same(connection, one.id, now)
                        outbox.record(connection, one.id, outbox.Outcome("sent", "0x0000"))

    def resolve(self, conflict: int, choice: str) -> None:
        """A person decides."""
        keeper, now = self.here.keeper, self.here.clock()
        with write(self.here.engine) as connection:
            intake = Intake(
                connection,
                now=now,
                tables=keeper.tables(),
                task_of=keeper.task_of,
                study_id=keeper.study_id,
                rules=keeper.rules,
            )
            resolver = Resolver(connection, intake, now=now, instance_of=self._instance, enqueue=self.here.jobs)
            resolver.resolve(Decision(conflict, choice, "someone"))

    def choices(self, conflict: int) -> list[str]:
        """What may be chosen."""
        with read(self.here.engine) as connection:
            found = connection.execute(tables.conflicts.select().where(tables.conflicts.c.id == conflict)).one()
            if found.kind == "object":
                return ["kept", "new"]
            return [str(rows[0][0]) for rows in conflicts.patients_to_choose(connection, found).values()]

    def open_conflicts(self) -> list[Any]:
        """Rows of the open ones."""
        return [row for row in self.here.rows(tables.conflicts) if row.state == "open"]

    def state_of(self, digest: str) -> tuple[str, str | None]:
        """State and reason of an object."""
        (row,) = (row for row in self.here.rows(tables.objects) if row.digest == digest)
        return row.state, row.reason

    def deliveries(self, *kinds: str) -> list[tuple[str, str, str | None]]:
        """Kind, state and reason of deliveries, in the order they were queued."""
        found = [row for row in self.here.rows(tables.deliveries) if row.kind in (kinds or RESULTS)]
        return [(row.kind, row.state, row.reason) for row in found]

    def members(self) -> dict[tuple[str, int], set[str]]:
        """(study, revision) -> digests, of sets of lung signs."""
        of = {row.id: (row.study, row.revision) for row in self.here.rows(tables.sets)}
        found: dict[tuple[str, int], set[str]] = {place: set() for place in of.values()}
        for row in self.here.rows(tables.members):
            found[of[row.set]].add(row.object)
        return found

    def recalled(self) -> list[tuple[int, str]]:
        """(conflict, kind of what is to be recalled)."""
        kinds = {row.id: row.kind for row in self.here.rows(tables.deliveries)}
        return sorted((row.conflict, kinds[row.delivery]) for row in self.here.rows(tables.recalls))

    def alarms(self) -> list[str]:
        """Reasons of the open alarms."""
        return sorted(row.reason for row in self.here.rows(tables.alarms) if row.state == "open")

    @contextmanager
    def on_the_way(self) -> Iterator[None]:
        """What is queued now is sent while the block runs, without another look."""
        ids = [row.id for row in self.here.rows(tables.deliveries) if row.state == "queued"]
        yield
        with write(self.here.engine) as connection:
            for delivery in ids:
                recalls.arrived_all_the_same(connection, delivery, self.here.clock())
                outbox.record(connection, delivery, outbox.Outcome("sent", "0x0000"))

    def check(self, sent: set[str]) -> None:
        """What must hold at every moment.

        Args:
            sent: digests of everything that was acknowledged.
        """
        rows = {row.digest: row for row in self.here.rows(tables.objects)}
        assert set(rows) == sent, "something acknowledged is gone"
        assert all(self.here.files.path(digest).exists() for digest in rows)
        stands = {digest for digest, row in rows.items() if row.state not in tables.NOT_STANDING}
        assert sorted(rows[digest].sop_uid for digest in stands) == sorted({row.sop_uid for row in rows.values()})
        self._check_sets(rows, stands)
        self._check_deliveries(stands)
        open_ids = {row.id for row in self.open_conflicts()}
        waiting = {row.digest for row in self.open_conflicts() if row.kind == "object"}
        assert waiting == {digest for digest, row in rows.items() if row.state == "conflict"}
        alarmed = {row.conflict for row in self.here.rows(tables.alarms) if row.state == "open"}
        assert alarmed == open_ids

    def _check_sets(self, rows: dict[str, Any], stands: set[str]) -> None:
        sets = self.here.rows(tables.sets)
        newest = {(row.study, row.task): row.id for row in sorted(sets, key=lambda row: row.revision)}
        members: dict[str, set[str]] = {row.id: set() for row in sets}
        for row in self.here.rows(tables.members):
            members[row.set].add(row.object)
        for row in sets:
            assert row.state == "closed" or members[row.id] <= stands, "an open set holds what does not stand"
        for digest in stands:
            row = rows[digest]
            is_in = digest in members[newest[row.study, "lung-signs"]]
            assert is_in or row.reason == "mixed_patient", "an object that stands is in no set"

    def _check_deliveries(self, stands: set[str]) -> None:
        sets_of = {row.key: row.set for row in self.here.rows(tables.analyses)}
        members: dict[str, set[str]] = {}
        for row in self.here.rows(tables.members):
            members.setdefault(row.set, set()).add(row.object)
        sources = set()
        for row in self.here.rows(tables.deliveries):
            if row.kind == "source":
                sources.add(row.object)
                assert row.state not in {"queued", "held"} or row.object in stands, "what does not stand waits to go"
                assert row.state != "dead" or row.object not in stands, "an object that stands never goes"
            elif row.state in {"queued", "held"}:
                assert members[sets_of[row.analysis]] <= stands, "a result of what does not stand waits to go"
                with read(self.here.engine) as connection:
                    is_held = conflicts.hold_reason(connection, row.study) is not None
                assert (row.state == "held") == is_held
        assert stands <= sources, "an object that stands is not forwarded"

    def _instance(self, digest: str) -> Instance:
        (row,) = (row for row in self.here.rows(tables.objects) if row.digest == digest)
        return Instance.from_facts(row.facts)
