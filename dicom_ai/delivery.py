"""The courier: takes what is due for one study and destination, builds reports in the form taken, sends, records.

The ledger is the checkpoint: every outcome is committed as soon as it is known, so a killed courier resumes with
what is still queued. Originals go first, then captures, then the report that refers to both. One association carries
them all; the report's SOP class is chosen from what that association accepted, before the report is made.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info

from dicom_ai import points
from dicom_ai.attempts import Attempts
from dicom_ai.building import Builder
from dicom_ai.deliver.association import Association
from dicom_ai.deliver.negotiate import Wanted, choose_report_class, report_contexts
from dicom_ai.deliver.negotiate import split_into_associations as split
from dicom_ai.deliver.send import Item, Outcome, Sender, deliver_batch
from dicom_ai.errors import InputError, ModelError, PeerRefused, PeerUnreachable, ResourceError
from dicom_ai.ledger import Ledger
from dicom_ai.log import get_logger
from dicom_ai.settings import Deliver
from dicom_ai.site import Destination, SiteTables
from dicom_ai.store import conflicts, outbox, results
from dicom_ai.store.database import read, write
from dicom_ai.store.files import ObjectStore

_ORDER = ("source", "capture", "report", "verdict", "recall")


def _rank(due: outbox.Due) -> int:
    return _ORDER.index(due.kind)


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
        self._files, self._site = files, site
        self._engine, self._enqueue, self._clock = ledger.engine, ledger.enqueue, ledger.clock
        self._sender, self._builder = Sender(settings), Builder(ledger.engine, files)
        self._attempts = Attempts(settings, ledger, chance)
        self._log = get_logger()

    def deliver(self, study: str, destination: str, generation: int) -> int:
        """Send what is due; return how many deliveries were taken up."""
        target = self._site().destination(destination)
        with write(self._engine) as connection:
            due = outbox.pick_up(
                connection, study, destination, generation=generation, now=self._clock(), enqueue=self._enqueue
            )
            if due and target is not None and self._attempts.is_closed(connection, destination, due):
                return 0
        if not due:
            return 0
        if target is None:
            self._attempts.give_up(due, "no_destination")
            return len(due)
        parcels = [self._parcel(one) for one in sorted(self._fit(target, due), key=_rank)]
        there = [parcel for parcel in parcels if parcel is not None]
        # Backwards: the contexts of a report belong together, and those in front share the first association.
        contexts = split(context for parcel in reversed(there) for context in parcel.contexts)
        calls = [(wanted, [one for one in there if set(one.contexts) <= set(wanted)]) for wanted in contexts]
        for number, (wanted, mine) in enumerate(calls):
            is_open, dropped = self._deliver_over(target, wanted, mine)
            if dropped:
                later = [parcel.due for _, others in calls[number + 1 :] for parcel in others]
                self._attempts.in_vain(destination, dropped + later, is_whole_call=not is_open)
                break
            self._attempts.reached(destination)
        self._log.info("delivered", action="deliver", study=study, destination=destination, count=len(due))
        return len(due)

    def again(self, study: str, destination: str) -> None:
        """Give everything still queued for a destination a later time: a delivery broke off in an unforeseen way."""
        with read(self._engine) as connection:
            queued = outbox.queued(connection, study, destination)
        for due in queued:
            self._attempts.record(due, Outcome(due.id, None, "queued"))

    def _fit(self, target: Destination, due: Sequence[outbox.Due]) -> list[outbox.Due]:
        """Without results of a demonstration where those must not go: the last look before anything leaves."""
        if target.test:
            return list(due)
        keys = {one.analysis for one in due if one.analysis is not None}
        with read(self._engine) as connection:
            toys = {key for key in keys if results.grade_of(connection, key) == "demonstration"}
        self._attempts.hold([one for one in due if one.analysis in toys], target.name, "no_model")
        return [one for one in due if one.analysis not in toys]

    def _deliver_over(
        self, target: Destination, wanted: Sequence[Wanted], parcels: Sequence[_Parcel]
    ) -> tuple[bool, list[outbox.Due]]:
        """Send over one association; whether there was one, and what it dropped or could not be opened for."""
        left = {parcel.due.id: parcel for parcel in parcels}
        dropped: list[outbox.Due] = []
        is_open = False
        try:
            with self._sender.associate(target, wanted) as association:
                is_open = True
                points.reached("before-send")
                for outcome in deliver_batch(association, self._items(parcels, association, left)):
                    if outcome.status is not None:
                        points.reached("after-answer")
                    due = left.pop(outcome.id).due
                    if outcome.was_dropped:
                        dropped.append(due)
                    else:
                        self._attempts.record(due, outcome)
        except PeerUnreachable:
            dropped += [parcel.due for parcel in left.values()]
        except PeerRefused as exc:
            self._attempts.give_up([parcel.due for parcel in left.values()], exc.reason)
        return is_open, dropped

    def _items(self, parcels: Sequence[_Parcel], association: Association, left: dict[int, _Parcel]) -> Iterator[Item]:
        """The files to send; a report is built here, when the association has said which form it takes."""
        for parcel in parcels:
            if not self._may_go(parcel, left):
                continue
            if parcel.item is not None:
                yield parcel.item
                continue
            sop_class = choose_report_class(association.accepted)
            if sop_class is None:
                self._attempts.give_up([left.pop(parcel.due.id).due], "class_refused")
                continue
            try:
                item = self._builder.report(parcel.due, sop_class)
            except (InputError, ModelError, ValueError, TypeError, AttributeError, LookupError) as exc:
                error = type(exc).__name__
                self._log.error("report not built", action="report", delivery=parcel.due.id, error=error)
                self._attempts.give_up([left.pop(parcel.due.id).due], "analysis_failed")
                continue
            if self._may_go(parcel, left):
                yield item

    def _may_go(self, parcel: _Parcel, left: dict[int, _Parcel]) -> bool:
        """Whether nothing has stopped a delivery since it was picked up; asked as late as possible."""
        look = write if parcel.due.analysis else read  # only a result may have to be held
        with look(self._engine) as connection:
            is_stopped = conflicts.stop(connection, parcel.due.id)
        if is_stopped:
            left.pop(parcel.due.id)
        return not is_stopped

    def _parcel(self, due: outbox.Due) -> _Parcel | None:
        """The delivery with its file; None when that cannot be read: it must not hold up the others."""
        if due.kind == "report":
            return _Parcel(due, None)
        with read(self._engine) as connection:
            digest = results.stored_digest(connection, digest=due.object, result=due.result)
        path = self._files.path(digest)
        try:
            meta = read_file_meta_info(path)
            return _Parcel(due, Item(due.id, path, str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)))
        except (OSError, InvalidDicomError, AttributeError, ValueError, EOFError) as exc:
            self._log.error("stored file unreadable", action="deliver", delivery=due.id, error=type(exc).__name__)
            reason = ResourceError.reason  # a disk that is unwell may be well again; the retention time bounds the wait
            self._attempts.record(due, Outcome(due.id, None, "queued", reason))
            return None
