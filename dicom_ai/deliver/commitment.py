"""A Storage Commitment report: an N-EVENT-REPORT on an association of our own, to the peer that asked.

Service: Storage Commitment Push Model, PS3.4 J.3.3; we are the SCP and call, so the roles are negotiated the other
way round (PS3.7 D.3.3.4). What this is not: knowing what is kept, or when to try again.
"""

from collections.abc import Sequence
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom.dsutils import encode

from dicom_ai.deliver.association import open_association
from dicom_ai.ports import Node
from dicom_ai.settings import Deliver

PUSH_MODEL = "1.2.840.10008.1.20.1"
PUSH_MODEL_INSTANCE = "1.2.840.10008.1.20.1.1"
ALL_STORED, SOME_FAILED = 1, 2  # Event Type ID, PS3.4 table J.3-2

Reference = tuple[str, str]


def event_information(
    transaction_uid: str, stored: Sequence[Reference], failed: Sequence[tuple[Reference, int]]
) -> tuple[int, Dataset]:
    """Make what a report says, PS3.4 table J.3-2.

    Args:
        transaction_uid: of the request.
        stored: (SOP Class UID, SOP Instance UID) of what is kept.
        failed: the others, each with its Failure Reason (PS3.3 C.14.1.1).

    Returns:
        Event Type ID (1: all is kept; 2: failures exist) and Event Information.
    """
    information = Dataset()
    information.TransactionUID = transaction_uid
    if stored:
        information.ReferencedSOPSequence = [_item(reference) for reference in stored]
    if not failed:
        return ALL_STORED, information
    information.FailedSOPSequence = [_item(reference, reason) for reference, reason in failed]
    return SOME_FAILED, information


def send_report(node: Node, settings: Deliver, event_type: int, information: Dataset) -> int:
    """Call a peer and tell it; return the DIMSE status of its response.

    Args:
        node: the peer that asked.
        settings: the AE title it knows us by, and the time limits.
        event_type: 1 or 2.
        information: of `event_information`.

    Raises:
        PeerUnreachable: no association, or no response in time.
        PeerRefused: the peer does not take reports on an association of ours.
    """
    context = (PUSH_MODEL, str(ImplicitVRLittleEndian))
    encoded = encode(information, is_implicit_vr=True, is_little_endian=True)
    if encoded is None:
        raise ValueError("Event Information cannot be encoded")
    association = open_association(node, [context], settings, as_scp=True)
    try:
        status = association.event_report(context, PUSH_MODEL_INSTANCE, event_type, BytesIO(encoded))
    except BaseException:
        association.abort()
        raise
    association.release()
    return status


def _item(reference: Reference, reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = reference
    if reason is not None:
        item.FailureReason = reason
    return item
