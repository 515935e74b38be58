"""One document out of an archive, byte for byte: by C-GET over the same association, else by C-MOVE to our receiver.

What this is not: a judgement of what the document says. Only what the message around it says is held against what was
asked for.
"""

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import create_file_meta

from dicom_ai.archive.association import ArchiveAssociation
from dicom_ai.archive.query import Document
from dicom_ai.errors import After, PeerFailed, WrongKind
from dicom_ai.instance import STRUCTURED_REPORTS

_PREFIX = b"\0" * 128 + b"DICM"


def fetch(archive: ArchiveAssociation, document: Document) -> bytes:
    """Get a document.

    Args:
        archive: an association with it.
        document: as the archive listed it.

    Returns:
        A Part 10 file: the data set as it came, behind File Meta Information of ours.

    Raises:
        WrongKind: the archive sent another object than was asked for, or of another class, or nothing and more than
            once.
        PeerFailed: it ended with a failure, or as if it had sent what it did not send.
        PeerUnreachable, PeerRefused: as `ArchiveAssociation.get`.
    """
    inbox = _Inbox(document.uid)
    status = archive.get(_meant(document), inbox.take)
    if inbox.has_other:
        raise WrongKind("the archive sent what was not asked for")
    if inbox.content is None:
        raise PeerFailed(status, After.RETRY, "to C-GET")
    return inbox.content


def have_sent(archive: ArchiveAssociation, document: Document, to: str) -> None:
    """Ask the archive to send a document to our own receiver.

    Args:
        archive: an association with it.
        document: as the archive listed it.
        to: AE title of our receiver, which the archive must know.

    Raises:
        PeerFailed: it did not send it.
        PeerUnreachable, PeerRefused: as `ArchiveAssociation.move`.
    """
    status = archive.move(_meant(document), to)
    if status != 0:
        raise PeerFailed(status, After.RETRY, "to C-MOVE")


def part10(request: C_STORE, syntax: str) -> bytes:
    """What arrived as a Part 10 file: the data set as it came, behind File Meta Information of ours."""
    meta = DicomBytesIO()
    made = create_file_meta(
        sop_class_uid=UID(str(request.AffectedSOPClassUID or "")),
        sop_instance_uid=UID(str(request.AffectedSOPInstanceUID or "")),
        transfer_syntax=UID(syntax),
    )
    write_file_meta_info(meta, made)
    return _PREFIX + meta.getvalue() + (request.DataSet.getvalue() if request.DataSet else b"")


class _Inbox:
    """Takes the one object that was asked for, once."""

    def __init__(self, uid: str) -> None:
        self._uid = uid
        self.content: bytes | None = None
        self.has_other = False

    def take(self, request: C_STORE, syntax: str) -> bool:
        uid, sop_class = str(request.AffectedSOPInstanceUID or ""), str(request.AffectedSOPClassUID or "")
        is_it = uid == self._uid and sop_class in STRUCTURED_REPORTS and bool(syntax)
        if not is_it or self.content is not None or request.DataSet is None:
            self.has_other = True
            return False
        self.content = part10(request, syntax)
        return True


def _meant(document: Document) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "IMAGE"
    identifier.StudyInstanceUID = document.study
    identifier.SeriesInstanceUID = document.series
    identifier.SOPInstanceUID = document.uid
    return identifier
