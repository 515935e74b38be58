"""From spooled objects to receipts: files first, then one transaction with everything that follows from them.

An object that is answered with 0x0000 is durable, known to the ledger, queued for every destination that forwards,
and member of a source set if it will be analysed; all of that or nothing. The same object again is acknowledged and
makes no work. Another object under a kept SOP Instance UID is kept for a person to decide and goes nowhere until then,
or is refused where the settings say so. What this is not: the thread that groups the objects of several associations
(that is `committer`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, or_, select
from sqlalchemy.exc import DataError, IntegrityError

from dicom_ai import points
from dicom_ai.errors import ConflictingInstance, DicomAIError, ResourceError
from dicom_ai.ports import Enqueue, Receipt, Spooled
from dicom_ai.site import SiteTables
from dicom_ai.store import settling
from dicom_ai.store.database import read, write
from dicom_ai.store.files import ObjectStore
from dicom_ai.store.intake import Intake, Rules, TaskOf
from dicom_ai.store.tables import objects, results
from dicom_ai.store.tables import verdicts as verdict_rows

_KEPT = Receipt(0x0000)
_RACES = 3  # times another process may commit the same object between our look and our insert


@dataclass(frozen=True)
class _Verdicts:
    """What a batch is to the ledger: objects it does not know, objects it knows, objects that contradict it."""

    fresh: tuple[Spooled, ...]
    same: tuple[Spooled, ...]
    conflicts: tuple[Spooled, ...]  # kept
    refused: tuple[Spooled, ...]  # conflicts likewise, where the settings refuse them

    def receipts(self, batch: Sequence[Spooled]) -> list[Receipt]:
        refused = {id(spooled) for spooled in self.refused}
        refusal = _refusal(ConflictingInstance())
        return [refusal if id(spooled) in refused else _KEPT for spooled in batch]


@dataclass(frozen=True, kw_only=True)
class Keeper:
    """Makes batches durable; one call at a time per process.

    Attributes:
        tables: gives the site's tables in force.
        study_id: our id of a Study Instance UID (`SiteId.study_id`).
    """

    engine: Engine
    files: ObjectStore
    enqueue: Enqueue
    tables: Callable[[], SiteTables]
    task_of: TaskOf
    study_id: Callable[[str], str]
    rules: Rules
    clock: Callable[[], datetime]

    def keep(self, batch: Sequence[Spooled]) -> list[Receipt]:
        """Make a batch durable. What goes wrong is in the receipts.

        Args:
            batch: objects in the spool; their files are gone from there afterwards, whatever happens.

        Returns:
            Receipts in the order of the batch. 0x0000, and nothing else, says that an object is kept.
        """
        try:
            return self._keep(batch)
        except (IntegrityError, DataError) as exc:
            if len(batch) == 1:
                return [_refusal(ResourceError(type(exc).__name__))]
            # One object that the ledger cannot take must not fail the others.
            return [receipt for spooled in batch for receipt in self.keep([spooled])]
        except DicomAIError as exc:
            return [_refusal(exc) for _ in batch]
        finally:
            self.files.discard([spooled.path for spooled in batch])

    def end(self, associations: Sequence[str]) -> None:
        """Write down that associations ended, so that their studies no longer wait for them.

        Raises:
            LedgerUnavailable: try again later.
        """
        with write(self.engine) as connection:
            for association in associations:
                settling.association_ended(connection, association)

    def _keep(self, batch: Sequence[Spooled]) -> list[Receipt]:
        race = 1
        while True:
            with read(self.engine) as connection:
                verdicts = _judge(connection, batch, keep_conflicts=self.rules.conflict == "keep")
            self.files.keep([(spooled.path, spooled.digest) for spooled in self._to_keep(verdicts)])
            try:
                self._commit(verdicts)
            except IntegrityError:
                if race == _RACES:
                    raise
                race += 1
            else:
                return verdicts.receipts(batch)

    def _to_keep(self, verdicts: _Verdicts) -> list[Spooled]:
        """New objects, and known ones whose file is gone: success must not rest on a row alone."""
        gone = [spooled for spooled in verdicts.same if not self.files.path(spooled.digest).exists()]
        return [*verdicts.fresh, *verdicts.conflicts, *gone]

    def _commit(self, verdicts: _Verdicts) -> None:
        tables = self.tables()
        with write(self.engine) as connection:
            intake = Intake(
                connection,
                now=self.clock(),
                tables=tables,
                task_of=self.task_of,
                study_id=self.study_id,
                rules=self.rules,
            )
            for spooled in verdicts.fresh:
                intake.admit(spooled)
            for spooled in verdicts.same:
                intake.repeat(spooled)
            for spooled in verdicts.conflicts:
                intake.contradict(spooled)
            for spooled in verdicts.refused:
                intake.refuse(spooled)
            intake.finish(self.enqueue)
            points.reached("before-commit")
        points.reached("after-commit")


def known(engine: Engine, digests: Sequence[str]) -> set[str]:
    """Which of these digests the ledger knows, as object, result or verdict; for `ObjectStore.sweep_store`."""
    columns = (objects.c.digest, results.c.digest, verdict_rows.c.object)
    with read(engine) as connection:
        return {one for column in columns for one in connection.scalars(select(column).where(column.in_(digests)))}


def _judge(connection: Connection, batch: Sequence[Spooled], *, keep_conflicts: bool) -> _Verdicts:
    uids = {spooled.instance.sop_instance_uid for spooled in batch}
    digests = {spooled.digest for spooled in batch}
    rows = connection.execute(
        select(objects.c.sop_uid, objects.c.digest).where(
            or_(objects.c.sop_uid.in_(uids), objects.c.digest.in_(digests))
        )
    ).all()
    has_one = {row.sop_uid for row in rows}  # one that stands: none is ever set aside without another in its place
    there = {row.digest for row in rows}
    verdicts: dict[str, list[Spooled]] = {"fresh": [], "same": [], "conflicts": [], "refused": []}
    for spooled in batch:
        uid = spooled.instance.sop_instance_uid
        if spooled.digest in there:
            verdicts["same"].append(spooled)
        elif uid in has_one and not keep_conflicts:
            verdicts["refused"].append(spooled)
        else:
            verdicts["conflicts" if uid in has_one else "fresh"].append(spooled)
            has_one.add(uid)
            there.add(spooled.digest)
    return _Verdicts(**{name: tuple(found) for name, found in verdicts.items()})


def _refusal(error: DicomAIError) -> Receipt:
    return Receipt(error.dimse_status, error.reason)
