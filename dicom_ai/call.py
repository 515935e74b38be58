"""One association at work: what is sent over it, in which form, and what came of each.

A result is tried in one form after another until one is taken: a report down the chain of `deliver.negotiate`, a clip's
capture as the clip and then as stills. A form is left only when it was definitely refused, by its presentation
context or by a status; whatever may pass later waits for later, in the same form and bytes. What this is not: when
a destination is called, and for what (`delivery`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine

from dicom_ai import points
from dicom_ai.attempts import Attempts
from dicom_ai.building import Builder
from dicom_ai.deliver.association import Association
from dicom_ai.deliver.negotiate import STILL, Wanted, has_stills, report_contexts, report_forms
from dicom_ai.deliver.send import Item, Outcome, deliver_batch
from dicom_ai.deliver.status import is_of_the_form
from dicom_ai.errors import InputError, ModelError
from dicom_ai.ledger import Ledger
from dicom_ai.log import get_logger
from dicom_ai.store import conflicts, outbox, substitutes
from dicom_ai.store.database import read, write

_NOT_BUILT = (InputError, ModelError, ValueError, TypeError, AttributeError, LookupError)


@dataclass(frozen=True)
class Parcel:
    """One delivery row with the file it means; `item` is None for a report, which is built when it is sent."""

    due: outbox.Due
    item: Item | None

    @property
    def contexts(self) -> tuple[Wanted, ...]:
        """What must be negotiated for it, its other forms included."""
        if self.item is None:
            return report_contexts()
        own = (self.item.sop_class, self.item.transfer_syntax)
        return (own, STILL) if self.has_other_form and own != STILL else (own,)

    @property
    def has_other_form(self) -> bool:
        """Whether a refusal is not the end of it."""
        return self.item is None or (self.due.kind == "capture" and has_stills(self.item.sop_class))


class Call:
    """Sends parcels over associations; every outcome is committed as soon as it is known."""

    def __init__(self, ledger: Ledger, builder: Builder, attempts: Attempts, parcels: Sequence[Parcel]) -> None:
        """Take what one association shall carry, in order."""
        self._engine: Engine = ledger.engine
        self._clock, self._builder, self._attempts = ledger.clock, builder, attempts
        self._parcels = parcels
        self._left = {parcel.due.id: parcel for parcel in parcels}
        self._refused: dict[int, Outcome] = {}
        self._log = get_logger()
        self.dropped: list[outbox.Due] = []

    @property
    def left(self) -> list[outbox.Due]:
        """Deliveries of which nothing is known."""
        return [parcel.due for parcel in self._left.values()]

    def run(self, association: Association) -> None:
        """Send; what the association dropped stands in `dropped` afterwards."""
        for outcome in deliver_batch(association, self._items(association)):
            if outcome.status is not None:
                points.reached("after-answer")
            parcel = self._left[outcome.id]
            if parcel.has_other_form and _is_refused(outcome):
                self._refused[outcome.id] = outcome  # `_items` goes on with the next form
                continue
            del self._left[outcome.id]
            if outcome.was_dropped:
                self.dropped.append(parcel.due)
            else:
                self._attempts.record(parcel.due, outcome)

    def _items(self, association: Association) -> Iterator[Item]:
        for parcel in self._parcels:
            if not self._may_go(parcel.due):
                continue
            if parcel.item is None:
                yield from self._report(parcel.due, association)
            elif not parcel.has_other_form:
                yield parcel.item
            else:
                yield from self._clip(parcel.due, parcel.item, association)

    def _report(self, due: outbox.Due, association: Association) -> Iterator[Item]:
        """The report in one form after another; who pulls the next one has told what came of the last."""
        refusal = None
        for sop_class in report_forms(association.accepted, self._builder.begun(due)):
            try:
                item = self._builder.report(due, sop_class)
            except _NOT_BUILT as exc:
                self._not_built(due, exc)
                self._give_up(due, Outcome(due.id, None, outbox.DEAD, "analysis_failed"))
                return
            if not self._may_go(due):
                return
            yield item
            if due.id not in self._refused:
                return
            refusal = self._refused.pop(due.id)
            self._log.warning("form refused", action="deliver", delivery=due.id, sop_class=sop_class)
        self._builder.begin_anew(due)
        status = refusal.status if refusal is not None else None
        self._give_up(due, Outcome(due.id, status, outbox.DEAD, "class_refused"))

    def _clip(self, due: outbox.Due, item: Item, association: Association) -> Iterator[Item]:
        """A clip's capture, else stills of its key frames."""
        refusal = Outcome(due.id, None, outbox.DEAD, "class_refused")
        if item.transfer_syntax in association.accepted.get(item.sop_class, ()):
            yield item
            if due.id not in self._refused:
                return
            refusal = self._refused.pop(due.id)
        if STILL[1] not in association.accepted.get(STILL[0], ()):
            self._give_up(due, refusal)
            return
        yield from self._stills(due, refusal)

    def _stills(self, due: outbox.Due, refusal: Outcome) -> Iterator[Item]:
        status = f"0x{refusal.status:04X}" if refusal.status is not None else None
        with read(self._engine) as connection:
            is_late = substitutes.is_report_under_way(connection, due)
        try:
            stills = self._builder.stills(due, status, self._clock())
        except _NOT_BUILT as exc:
            self._not_built(due, exc)
            self._give_up(due, refusal)
            return
        del self._left[due.id]
        self._left |= {one.id: Parcel(one, still) for one, still in stills}
        if is_late:  # the report that refers to the clip may lie there already: a person must know
            self._attempts.alarm(due, "class_refused")
        for one, still in stills:
            if self._may_go(one):
                yield still

    def _not_built(self, due: outbox.Due, exc: Exception) -> None:
        self._log.error("result not built", action="report", delivery=due.id, error=type(exc).__name__)

    def _give_up(self, due: outbox.Due, outcome: Outcome) -> None:
        del self._left[due.id]
        self._attempts.record(due, outcome)

    def _may_go(self, due: outbox.Due) -> bool:
        """Whether nothing has stopped a delivery since it was picked up; asked as late as possible."""
        look = write if due.analysis else read  # only a result may have to be held
        with look(self._engine) as connection:
            is_stopped = conflicts.stop(connection, due.id)
        if is_stopped:
            self._left.pop(due.id, None)
        return not is_stopped


def _is_refused(outcome: Outcome) -> bool:
    """Whether another form may pass where this one does not."""
    if outcome.state != outbox.DEAD:
        return False
    return is_of_the_form(outcome.status) if outcome.status is not None else outcome.reason == "class_refused"
