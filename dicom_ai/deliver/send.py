"""Stored objects become deliveries: one association carries many, each has an outcome of its own.

What this is not: a queue. The workflow reads due rows from the ledger, calls `deliver_batch` and commits every
outcome; back-off is a time in the ledger, never a wait here.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dicom_ai.deliver.association import Association, open_association
from dicom_ai.deliver.negotiate import Wanted
from dicom_ai.deliver.status import CLASS_NOT_SUPPORTED, Verdict, verdict
from dicom_ai.errors import InputError, PeerError, PeerRefused, PeerUnreachable, ResourceError
from dicom_ai.ports import Node
from dicom_ai.settings import Deliver


@dataclass(frozen=True)
class Item:
    """One object to deliver.

    Attributes:
        id: the row of `deliveries` it belongs to.
        path: Part 10 file, as stored.
    """

    id: int
    path: Path
    sop_class: str
    transfer_syntax: str


@dataclass(frozen=True)
class Outcome:
    """What became of one item.

    Attributes:
        status: DIMSE status of the response, None when there was none.
        state: "sent", "queued" (to be tried again) or "dead".
        reason: code of `errors.REASONS` when dead, or when our own store is the cause; else None.
    """

    id: int
    status: int | None
    state: str
    reason: str | None = None

    @property
    def was_dropped(self) -> bool:
        """Whether there was no answer, and the fault is not in our own store: the destination went away."""
        return self.state == "queued" and self.status is None and self.reason is None


class Sender:
    """Opens associations to destinations."""

    def __init__(self, settings: Deliver) -> None:
        self._settings = settings

    @contextmanager
    def associate(self, destination: Node, wanted: Sequence[Wanted]) -> Iterator[Association]:
        """An association for the length of the block; released at its end, aborted when the block raises.

        Args:
            destination: whom to call.
            wanted: distinct (SOP class, transfer syntax) pairs to propose, 1 to 128.

        Raises:
            PeerUnreachable: no association could be made; try again later.
            PeerRefused: the destination accepts none of `wanted`.
        """
        association = open_association(destination, wanted, self._settings)
        try:
            yield association
        except BaseException:
            association.abort()
            raise
        association.release()


def deliver_batch(association: Association, items: Iterable[Item]) -> Iterator[Outcome]:
    """Send items one after another, in the order given.

    A refused item does not stop the batch, nor does an unwell peer: the next object may be a smaller one. A dropped
    association does; the item it dropped in and all after it stay queued.

    Yields:
        One outcome per item, in the same order, as soon as it is known.
    """
    is_open = True
    for item in items:
        if not is_open:
            yield Outcome(item.id, None, "queued")
            continue
        try:
            yield _outcome(item.id, association.store(item.path))
        except PeerUnreachable:
            is_open = False
            yield Outcome(item.id, None, "queued")
        except (InputError, PeerRefused) as exc:
            yield Outcome(item.id, None, "dead", exc.reason)
        except ResourceError as exc:
            yield Outcome(item.id, None, "queued", exc.reason)


def _outcome(delivery: int, status: int) -> Outcome:
    match verdict(status):
        case Verdict.DELIVERED:
            return Outcome(delivery, status, "sent")
        case Verdict.RETRY:
            return Outcome(delivery, status, "queued")
        case Verdict.REFUSED:
            reason = PeerRefused.reason if status in CLASS_NOT_SUPPORTED else PeerError.reason
            return Outcome(delivery, status, "dead", reason)
