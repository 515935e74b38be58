"""The courier: takes what is due for one study and destination, calls the destination and records what came of it.

The ledger is the checkpoint: every outcome is committed as soon as it is known, so a killed courier resumes with
what is still queued. Originals go first, then captures, then the report that refers to both. One association carries
them all; the report's form is chosen from what that association accepted, before the report is made (`call`).
"""

import random
from collections.abc import Callable, Sequence

from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info

from dicom_ai import points
from dicom_ai.attempts import Attempts
from dicom_ai.building import Builder
from dicom_ai.call import Call, Parcel
from dicom_ai.deliver.negotiate import Wanted
from dicom_ai.deliver.negotiate import split_into_associations as split
from dicom_ai.deliver.send import Item, Outcome, Sender
from dicom_ai.errors import PeerRefused, PeerUnreachable, ResourceError
from dicom_ai.ledger import Ledger
from dicom_ai.log import get_logger
from dicom_ai.settings import Deliver
from dicom_ai.site import Destination, SiteTables
from dicom_ai.store import outbox, results
from dicom_ai.store.database import read, write
from dicom_ai.store.files import ObjectStore

_ORDER = ("source", "capture", "report", "verdict", "recall")


def _rank(due: outbox.Due) -> int:
    return _ORDER.index(due.kind)


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
        self._ledger, self._engine, self._enqueue, self._clock = ledger, ledger.engine, ledger.enqueue, ledger.clock
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
        self, target: Destination, wanted: Sequence[Wanted], parcels: Sequence[Parcel]
    ) -> tuple[bool, list[outbox.Due]]:
        """Send over one association; whether there was one, and what it dropped or could not be opened for."""
        call = Call(self._ledger, self._builder, self._attempts, parcels)
        is_open = False
        try:
            with self._sender.associate(target, wanted) as association:
                is_open = True
                points.reached("before-send")
                call.run(association)
        except PeerUnreachable:
            call.dropped += call.left
        except PeerRefused as exc:
            self._attempts.give_up(call.left, exc.reason)
        return is_open, call.dropped

    def _parcel(self, due: outbox.Due) -> Parcel | None:
        """The delivery with its file; None when that cannot be read: it must not hold up the others."""
        if due.kind == "report":
            return Parcel(due, None)
        with read(self._engine) as connection:
            digest = results.stored_digest(connection, digest=due.object, result=due.result)
        path = self._files.path(digest)
        try:
            meta = read_file_meta_info(path)
            return Parcel(due, Item(due.id, path, str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)))
        except (OSError, InvalidDicomError, AttributeError, ValueError, EOFError) as exc:
            self._log.error("stored file unreadable", action="deliver", delivery=due.id, error=type(exc).__name__)
            reason = ResourceError.reason  # a disk that is unwell may be well again; the retention time bounds the wait
            self._attempts.record(due, Outcome(due.id, None, "queued", reason))
            return None
