"""Verdicts collected from an archive: what it holds of our studies, fetched, judged, written into the ledger once.

Everything may be repeated: a document that is known is not fetched again, and one that is fetched again makes the
same rows. What an archive says is believed only as far as the document itself bears it out: it must name our study,
our patient and a report of ours. What this is not: the messages (`archive`), or how a document is judged (`verdicts`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset

from dicom_ai.archive.association import ArchiveAssociation, asking
from dicom_ai.archive.query import Document, holding
from dicom_ai.archive.retrieve import fetch, have_sent
from dicom_ai.errors import PeerError, PeerUnreachable, UnreadableInstance, WrongKind
from dicom_ai.headers import header
from dicom_ai.ledger import Ledger
from dicom_ai.log import get_logger
from dicom_ai.ports import Node
from dicom_ai.settings import Deliver
from dicom_ai.store import verdicts
from dicom_ai.store.database import read
from dicom_ai.store.files import ObjectStore, part10_digest
from dicom_ai.store.verdicts import VERDICT, Ours
from dicom_ai.verdicts import Refused, Verdicts, patient_of

KNOWN, SENT_TO_US, NOT_THERE = "known", "sent_to_us", "not_there"
NOT_OURS = ("other", "unknown_report")
"""Outcomes of documents that are none of our business; they are no failure."""

HARMLESS = (VERDICT, KNOWN, SENT_TO_US, NOT_THERE, *NOT_OURS)


@dataclass(frozen=True)
class Found:
    """What came of one document of an archive, of an answer of it, or of a study as a whole.

    Attributes:
        study: our id of it.
        document: SOP Instance UID; None: of no single document.
        outcome: verdict (rows were written), known, sent_to_us (the archive sends it to our receiver), not_there (it
            does not hold the study), other, unknown_report (no verdict on a report of ours), or why it was refused.
        count: findings in it.
    """

    study: str
    document: str | None
    outcome: str
    count: int = 0

    @property
    def is_harmless(self) -> bool:
        """Whether nobody has to look at it."""
        return self.outcome in HARMLESS


class Collector:
    """Collects from one archive at a time. Every method may be repeated."""

    def __init__(self, ledger: Ledger, files: ObjectStore, judge: Verdicts, settings: Deliver, receiver: str) -> None:
        """Take the real parts; `receiver` is the AE title of our own receiver, for archives that only send."""
        self._ledger, self._files, self._verdicts = ledger, files, judge
        self._settings, self._receiver = settings, receiver
        self._log = get_logger()

    def collect(self, node: Node, studies: Sequence[Ours]) -> Iterator[tuple[Ours, list[Found]]]:
        """Look through these studies over one association; after a study that broke it off, over another one.

        Args:
            node: the archive.
            studies: a report of each.

        Yields:
            Each study with what was found there, as soon as it is written down.

        Raises:
            PeerUnreachable, PeerRefused: the archive cannot be asked at all; what was not yielded was not looked at.
        """
        todo = list(studies)
        while todo:
            with asking(node, self._settings) as archive:
                while todo:
                    about = todo.pop(0)
                    found, is_whole = self._study(archive, about)
                    yield about, found
                    if not is_whole:
                        break

    def _study(self, archive: ArchiveAssociation, about: Ours) -> tuple[list[Found], bool]:
        """What a study holds; False beside it when the association is of no more use."""
        found: list[Found] = []
        try:
            self._look_through(archive, about, found)
        except PeerUnreachable:
            found.append(Found(about.study, None, "broken_off"))
            return found, False
        except PeerError as exc:
            self._log.warning("not collected", action="verdict", study=about.study, reason=exc.reason)
            found.append(Found(about.study, None, "no_answer"))
        return found, True

    def _look_through(self, archive: ArchiveAssociation, about: Ours, found: list[Found]) -> None:
        ours = patient_of(header(self._files.path(about.digest)))
        held = holding(archive, about.study_uid, lambda answer: _names(answer, ours))
        found += [Found(about.study, None, word) for word in held.refused]
        if not held.is_there and not held.refused:
            found.append(Found(about.study, None, NOT_THERE))
        todo, has_new = held.documents, True
        while todo and has_new:  # a correction may name a verdict that is read only now
            seen = [(one, self._document(archive, about, one)) for one in todo]
            has_new = any(result.outcome == VERDICT for _, result in seen)
            todo = [one for one, result in seen if result.outcome == "unknown_report"] if has_new else []
            again = {one.uid for one in todo}
            found += [result for one, result in seen if one.uid not in again]

    def _document(self, archive: ArchiveAssociation, about: Ours, document: Document) -> Found:
        with read(self._ledger.engine) as connection:
            known = verdicts.saved(connection, document.uid)
            is_ours = verdicts.is_ours(connection, document.uid)
        if known is not None:
            return Found(about.study, document.uid, KNOWN, len(known.rows))
        if is_ours:
            return Found(about.study, document.uid, "other")
        if not archive.can_get and archive.can_move:
            have_sent(archive, document, self._receiver)
            return Found(about.study, document.uid, SENT_TO_US)
        try:
            content = fetch(archive, document)
        except WrongKind:
            return Found(about.study, document.uid, "sop_mismatch")
        return self._take(about, document, content)

    def _take(self, about: Ours, document: Document, content: bytes) -> Found:
        digest, path = part10_digest(content), self._files.new_spool()
        try:
            path.write_bytes(content)
            _require_meant(path, document)
            meant, told = self._verdicts.judge(path, digest)
            self._files.keep([(path, digest)])
        except Refused as exc:
            if str(exc) not in NOT_OURS:
                self._verdicts.refuse(digest, str(exc))
            return Found(about.study, document.uid, str(exc))
        finally:
            path.unlink(missing_ok=True)
        return Found(about.study, document.uid, self._verdicts.save(meant, told), len(told.rows))


def _require_meant(path: Path, document: Document) -> None:
    """The data set itself must say what the message around it said."""
    try:
        ds = header(path)
        said = str(ds.get("SOPInstanceUID") or ""), str(ds.get("StudyInstanceUID") or "")
    except (UnreadableInstance, ValueError, TypeError) as exc:
        raise Refused("unreadable") from exc
    if said[0] != document.uid:
        raise Refused("sop_mismatch")
    if said[1] != document.study:
        raise Refused("other_study")


def _names(answer: Dataset, patient: str) -> bool:
    """Whether an answer is of this patient; one that names nobody may be, the documents say it again."""
    try:
        said = patient_of(answer)
    except Refused:
        return False
    return said in ("", patient)
