"""An archive that speaks DIMSE: C-FIND, and C-GET over the same association or C-MOVE to a receiver of ours.

Objects are asked for as the archive has them: each storage class with every transfer syntax in a context of its own.
What this is not: the receiver, and a judgement of what arrives.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from pydicom.dataset import Dataset
from pynetdicom.dimse_primitives import C_STORE

from dicom_ai.archive.answers import Level, keys
from dicom_ai.archive.association import ArchiveAssociation, Terms, asking
from dicom_ai.archive.contents import Series
from dicom_ai.archive.retrieve import part10
from dicom_ai.archive.source import MOST_UNASKED, Take
from dicom_ai.errors import After, PeerError, PeerFailed, PeerRefused, PeerUnreachable
from dicom_ai.instance import US_IMAGE, US_IMAGE_RETIRED, US_MULTI_FRAME, US_MULTI_FRAME_RETIRED
from dicom_ai.ports import Node
from dicom_ai.settings import Deliver

MOST_ANSWERS = 10_000
"""To one question; a window of days with more is asked in halves."""

_SOME_FAILED = 0xB000  # sub-operations complete, one or more failures (PS3.4 C.4.2.1.5, C.4.3.1.4)
_OUT_OF_RESOURCES = 0xA700
_MOST_CONTEXTS, _OURS = 128, 3


def terms_of(syntaxes: Sequence[str], longest: int) -> Terms:
    """What may arrive by C-GET: ultrasound, each class in every transfer syntax as far as an association has room.

    Args:
        syntaxes: transfer syntaxes, the most usual first; of the retired classes only the first of them.
        longest: bytes of one object.
    """
    room = (_MOST_CONTEXTS - _OURS - 2 * len(syntaxes)) // 2
    classes = {US_IMAGE: syntaxes, US_MULTI_FRAME: syntaxes}
    retired = dict.fromkeys((US_IMAGE_RETIRED, US_MULTI_FRAME_RETIRED), syntaxes[:room])
    return Terms(classes | retired, split=True, longest=longest)


class Dimse:
    """An archive over one association that is opened when it is needed, and anew after it broke off."""

    def __init__(self, node: Node, settings: Deliver, terms: Terms, *, move_to: str = "") -> None:
        """Name the archive; nothing is called yet.

        Args:
            node: the archive.
            settings: our AE title and the time limits.
            terms: from `terms_of`.
            move_to: AE title of a receiver of ours that the archive knows; "" for C-GET.
        """
        self._node, self._settings, self._terms, self._move_to = node, settings, terms, move_to
        self._open = ExitStack()
        self._association: ArchiveAssociation | None = None

    def find(self, asked: Dataset) -> Iterator[Dataset]:
        """See `pages.Asked`."""
        archive = self._called()
        try:
            for number, answer in enumerate(archive.find(asked)):
                if number == MOST_ANSWERS:
                    self._drop()
                    raise PeerFailed(_OUT_OF_RESOURCES, After.RETRY, f"more than {MOST_ANSWERS} answers")
                yield answer
        except PeerUnreachable:
            self._drop()
            raise

    def fetch(self, wanted: Series, take: Take, *, one_by_one: bool) -> None:
        """See `source.Source`. By C-MOVE `take` gets nothing: objects arrive at the receiver."""
        failed: PeerError | None = None
        for asked in _requests(wanted, one_by_one=one_by_one):
            try:
                self._fetch(asked, take)
            except PeerFailed as exc:  # of one object; the others may come
                failed = exc
            except BaseException:
                self._drop()
                raise
        if failed is not None:
            raise failed

    def rest(self) -> None:
        """See `source.Source`."""
        self._association = None
        self._open.close()

    def _fetch(self, asked: Dataset, take: Take) -> None:
        archive, n_unasked = self._called(), 0

        def inbox(request: C_STORE, syntax: str) -> bool:
            nonlocal n_unasked
            is_ours = take(part10(request, syntax), str(request.AffectedSOPInstanceUID or ""))
            n_unasked += not is_ours
            if n_unasked > MOST_UNASKED:
                raise PeerUnreachable("it sends what nobody asked for")
            return is_ours

        status = archive.move(asked, self._move_to) if self._move_to else archive.get(asked, inbox)
        if status not in (0, _SOME_FAILED):
            raise PeerFailed(status, After.RETRY, "to a retrieval")

    def _called(self) -> ArchiveAssociation:
        if self._association is None:
            archive = self._open.enter_context(asking(self._node, self._settings, self._terms))
            if not (archive.can_move if self._move_to else archive.can_get):
                self._drop()
                raise PeerRefused("it gives no ultrasound by C-GET; have it sent to a receiver of ours (C-MOVE)")
            self._association = archive
        return self._association

    def _drop(self) -> None:
        association, self._association = self._association, None
        if association is not None:
            association.abort()
        self._open.close()


def _requests(wanted: Series, *, one_by_one: bool) -> Iterator[Dataset]:
    if wanted.is_all and not one_by_one:
        yield _named("SERIES", wanted)
        return
    for uid in wanted.images:
        yield _named("IMAGE", wanted, uid)


def _named(level: Level, wanted: Series, uid: str = "") -> Dataset:
    """Unique keys alone (PS3.4 C.4.2.1.4.1)."""
    asked = keys(level, wanted.study, SeriesInstanceUID=wanted.uid)
    if uid:
        asked.SOPInstanceUID = uid
    return asked
