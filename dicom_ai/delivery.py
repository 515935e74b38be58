"""The courier: takes what is due for one study and destination, builds reports in the form taken, sends, records.

The ledger is the checkpoint: every outcome is committed as soon as it is known, so a killed courier resumes with
what is still queued. Originals go first, then captures, then the report that refers to both. One association carries
them all; the report's SOP class is chosen from what that association accepted, before the report is made.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from sqlalchemy import Connection, Engine

from dicom_ai import points
from dicom_ai.analysis import header
from dicom_ai.deliver.association import Association
from dicom_ai.deliver.negotiate import REPORT_SYNTAX, Wanted, choose_report_class, report_contexts
from dicom_ai.deliver.negotiate import split_into_associations as split
from dicom_ai.deliver.send import Item, Outcome, Sender, deliver_batch
from dicom_ai.deliver.status import next_attempt
from dicom_ai.errors import DicomAIError, InputError, ModelError, PeerRefused, PeerUnreachable, ResourceError
from dicom_ai.log import get_logger
from dicom_ai.ports import Enqueue
from dicom_ai.report.content import Reference, ReportContent
from dicom_ai.report.header import part10
from dicom_ai.report.structured import structured_report
from dicom_ai.settings import Deliver
from dicom_ai.site import Destination, SiteTables
from dicom_ai.store import analyses, events, outbox
from dicom_ai.store.database import read, write
from dicom_ai.store.files import ObjectStore

_ORDER = ("source", "capture", "report")


@dataclass(frozen=True)
class _Parcel:
    """One delivery row with the file it means; `item` is None for a report that is not built yet."""

    due: outbox.Due
    item: Item | None

    @property
    def contexts(self) -> tuple[Wanted, ...]:
        """What must be negotiated for it."""
        if self.item is None:
            return report_contexts()
        return ((self.item.sop_class, self.item.transfer_syntax),)


@dataclass(frozen=True)
class Ledger:
    """The ledger with what its transactions need: the engine's enqueue and a clock of aware times."""

    engine: Engine
    enqueue: Enqueue
    clock: Callable[[], datetime]


class Courier:
    """Delivers. Safe to repeat; one at a time per destination (the queue is partitioned)."""

    def __init__(
        self,
        settings: Deliver,
        ledger: Ledger,
        *,
        files: ObjectStore,
        site: Callable[[], SiteTables],
        chance: random.Random,
    ) -> None:
        """Take the real parts; `chance` spreads the back-off."""
        self._settings, self._files, self._site, self._chance = settings, files, site, chance
        self._engine, self._enqueue, self._clock = ledger.engine, ledger.enqueue, ledger.clock
        self._sender = Sender(settings)
        self._log = get_logger()

    def deliver(self, study: str, destination: str, generation: int) -> int:
        """Send what is due; return how many deliveries were taken up."""
        with write(self._engine) as connection:
            due = outbox.pick_up(
                connection, study, destination, generation=generation, now=self._clock(), enqueue=self._enqueue
            )
        if not due:
            return 0
        target = self._site().destination(destination)
        if target is None:
            self._note([_Parcel(one, None) for one in due], "dead", "no_destination")
            return len(due)
        parcels = [self._parcel(one) for one in sorted(due, key=lambda one: _ORDER.index(one.kind))]
        there = [parcel for parcel in parcels if parcel is not None]
        # Backwards: the contexts of a report belong together, and those in front share the first association.
        for wanted in split(context for parcel in reversed(there) for context in parcel.contexts):
            self._deliver_over(target, wanted, [one for one in there if set(one.contexts) <= set(wanted)])
        self._log.info("delivered", action="deliver", study=study, destination=destination, count=len(due))
        return len(due)

    def again(self, study: str, destination: str) -> None:
        """Give everything still queued for a destination a later time: a delivery broke off in an unforeseen way."""
        with read(self._engine) as connection:
            queued = outbox.queued(connection, study, destination)
        for due in queued:
            self._record(_Parcel(due, None), Outcome(due.id, None, "queued"))

    def _deliver_over(self, target: Destination, wanted: Sequence[Wanted], parcels: Sequence[_Parcel]) -> None:
        left = {parcel.due.id: parcel for parcel in parcels}
        try:
            with self._sender.associate(target, wanted) as association:
                points.reached("before-send")
                for outcome in deliver_batch(association, self._items(parcels, association, left)):
                    if outcome.status is not None:
                        points.reached("after-answer")
                    self._record(left.pop(outcome.id), outcome)
        except PeerUnreachable:
            pass  # what is left goes back to the queue below
        except PeerRefused as exc:
            self._note(list(left.values()), "dead", exc.reason)
            return
        for parcel in left.values():
            self._record(parcel, Outcome(parcel.due.id, None, "queued"))

    def _items(self, parcels: Sequence[_Parcel], association: Association, left: dict[int, _Parcel]) -> Iterator[Item]:
        """The files to send; a report is built here, when the association has said which form it takes."""
        for parcel in parcels:
            if parcel.item is not None:
                yield parcel.item
                continue
            sop_class = choose_report_class(association.accepted)
            if sop_class is None:
                self._note([left.pop(parcel.due.id)], "dead", "class_refused")
                continue
            try:
                item = self._report_item(parcel.due, sop_class)
            except (InputError, ModelError, ValueError, TypeError, AttributeError, LookupError) as exc:
                error = type(exc).__name__
                self._log.error("report not built", action="report", delivery=parcel.due.id, error=error)
                self._note([left.pop(parcel.due.id)], "dead", "analysis_failed")
                continue
            yield item

    def _report_item(self, due: outbox.Due, sop_class: str) -> Item:
        """The report of an analysis in one SOP class: as it stands in the store, else built, stored and committed."""
        if due.analysis is None:
            raise DicomAIError("a report delivery without an analysis")
        with read(self._engine) as connection:
            analysis = analyses.analysis(connection, due.analysis)
            standing = analyses.results_of(connection, due.analysis, "report")
        if analysis is None:
            raise DicomAIError("an analysis that was committed is gone")
        row = next((one for one in standing if one["sop_class"] == sop_class), None)
        if row is None:
            ds = self._build(analysis, sop_class)
            digest = self._files.write_result(part10(ds))
            row = {"uid": str(ds.SOPInstanceUID), "sop_class": sop_class, "digest": digest}
        with write(self._engine) as connection:
            # Another destination may have been faster: then its bytes are the report, not ours.
            row = analyses.save_result(connection, analysis, kind="report", result=row)
            analyses.attach_report(connection, due.id, row["uid"])
        return Item(due.id, self._files.path(row["digest"]), sop_class, REPORT_SYNTAX)

    def _build(self, analysis: analyses.Analysis, sop_class: str) -> Dataset:
        content = ReportContent.from_json(analysis.content)
        with read(self._engine) as connection:
            found = analyses.source_set(connection, analysis.set_id)
            captures = analyses.results_of(connection, analysis.key, "capture")
            before = analyses.predecessor_report(connection, found.predecessor, sop_class)
        if before is not None:
            earlier = header(self._files.path(before["digest"]))
            series = str(earlier.SeriesInstanceUID)
            content = replace(content, predecessor=Reference(before["sop_class"], before["uid"], series))
        evidence = [header(self._files.path(member.digest)) for member in found.members]
        pictures = [header(self._files.path(one["digest"])) for one in captures]
        return structured_report(content, evidence, pictures, sop_class=sop_class)

    def _parcel(self, due: outbox.Due) -> _Parcel | None:
        """The delivery with its file; None when that cannot be read: it must not hold up the others."""
        if due.kind == "report":
            return _Parcel(due, None)
        with read(self._engine) as connection:
            digest = analyses.stored_digest(connection, digest=due.object, result=due.result)
        path = self._files.path(digest)
        try:
            meta = read_file_meta_info(path)
            return _Parcel(due, Item(due.id, path, str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)))
        except (OSError, InvalidDicomError, AttributeError, ValueError, EOFError) as exc:
            self._log.error("stored file unreadable", action="deliver", delivery=due.id, error=type(exc).__name__)
            reason = ResourceError.reason  # a disk that is unwell may be well again; the retention time bounds the wait
            self._record(_Parcel(due, None), Outcome(due.id, None, "queued", reason))
            return None

    def _record(self, parcel: _Parcel, outcome: Outcome) -> None:
        status = f"0x{outcome.status:04X}" if outcome.status is not None else None
        if outcome.state != "queued":
            with write(self._engine) as connection:
                outbox.record(connection, outcome.id, outbox.Outcome(outcome.state, status, outcome.reason))
                if outcome.state == "dead":
                    self._alarm(connection, parcel, outcome.reason)
            return
        now, due = self._clock(), parcel.due
        at = next_attempt(
            due.attempts + 1, now, queued_at=due.queued_at, settings=self._settings, chance=self._chance.random()
        )
        with write(self._engine) as connection:
            if at is None:
                outbox.record(connection, due.id, outbox.Outcome("dead", status, "attempts_spent"))
                self._alarm(connection, parcel, "attempts_spent")
                return
            again = outbox.Outcome("queued", status, outcome.reason)
            delay_s = (at - now).total_seconds()
            outbox.retry(connection, due.id, again, now=now, delay_s=delay_s, enqueue=self._enqueue)

    def _note(self, parcels: Sequence[_Parcel], state: str, reason: str | None) -> None:
        for parcel in parcels:
            self._record(parcel, Outcome(parcel.due.id, None, state, reason))

    def _alarm(self, connection: Connection, parcel: _Parcel, reason: str | None) -> None:
        """A delivery that ended without reaching its destination is never silent."""
        ids = {"delivery": parcel.due.id, "kind": parcel.due.kind, "reason": reason}
        events.add(connection, self._clock(), "undelivered", ids)
        self._log.error("undelivered", action="deliver", delivery=parcel.due.id, reason=reason)
