"""Storage Commitment as SCP: an N-ACTION request becomes a request that is written down, or a truthful failure.

Service: Storage Commitment Push Model, PS3.4 J.3.2 (N-ACTION, Request Storage Commitment); statuses of PS3.7 10.1.4.
Success says that the request is durable and a report will follow; it says nothing about the objects. What this is
not: the report (that goes out on an association of its own), or a reading of anything but the references.
"""

import re
from collections.abc import Iterator
from io import BytesIO
from typing import cast

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import build_context, evt
from pynetdicom.dimse_primitives import N_ACTION
from pynetdicom.dsutils import decode
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import PresentationContext

from dicom_ai.errors import ConflictingInstance, DicomAIError
from dicom_ai.log import get_logger
from dicom_ai.ports import CommitmentRequest, Promise

PUSH_MODEL = "1.2.840.10008.1.20.1"
PUSH_MODEL_INSTANCE = "1.2.840.10008.1.20.1.1"
"""The well-known instance every request goes to, PS3.4 J.3.5."""

MAX_REFERENCES = 10_000
"""References of one request at most; an exam has some hundreds."""

_MAX_BYTES = 4 << 20  # 10,000 references with the longest UIDs take 1.7 MB
_SUCCESS = 0x0000
_PROCESSING_FAILURE, _NO_SUCH_INSTANCE, _INVALID_ARGUMENT = 0x0110, 0x0112, 0x0115
_NO_SUCH_ACTION, _RESOURCE_LIMITATION = 0x0123, 0x0213
_REQUEST_COMMITMENT = 1  # Action Type ID
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")


class Invalid(Exception):
    """A request that cannot be taken; `status` answers it."""

    def __init__(self, status: int) -> None:
        super().__init__(f"0x{status:04X}")
        self.status = status


class CommitmentService:
    """Answers N-ACTION requests; see `acceptor.PynetdicomAcceptor.offer`."""

    def __init__(self, promise: Promise) -> None:
        """Take what writes a request down."""
        self._promise = promise

    def contexts(self) -> list[PresentationContext]:
        """What is negotiated."""
        return [build_context(PUSH_MODEL)]

    def handlers(self) -> list[evt.EventHandlerType]:
        """What pynetdicom calls."""
        return [(evt.EVT_N_ACTION, self._action)]

    def _action(self, event: evt.Event) -> tuple[int, None]:
        """Answer one request with the status that is true; there is never an Action Reply."""
        try:
            request = _read(event)
            self._promise(request)
            status = _SUCCESS
            get_logger().info("commitment asked", action="receive", count=len(request.listed))
        except Invalid as exc:
            status = exc.status
        except ConflictingInstance:
            status = _INVALID_ARGUMENT  # the Transaction UID means another request already
        except DicomAIError as exc:
            status = _PROCESSING_FAILURE
            get_logger().error(
                "commitment not written down", action="receive", error=type(exc).__name__, reason=exc.reason
            )
        except Exception as exc:  # noqa: BLE001 - whatever the peer sent, it gets an answer
            status = _PROCESSING_FAILURE
            get_logger().error("fault while receiving", action="receive", error=type(exc).__name__)
        if status != _SUCCESS:
            get_logger().warning("refused", action="receive", status=f"0x{status:04X}")
        return status, None


def _read(event: evt.Event) -> CommitmentRequest:
    action = cast(N_ACTION, event.request)
    if action.ActionTypeID != _REQUEST_COMMITMENT:
        raise Invalid(_NO_SUCH_ACTION)
    if action.RequestedSOPInstanceUID != PUSH_MODEL_INSTANCE:
        raise Invalid(_NO_SUCH_INSTANCE)
    information = action.ActionInformation
    if information is None:
        raise Invalid(_INVALID_ARGUMENT)
    requestor = event.assoc.requestor
    transaction_uid, listed = read_information(information, UID(event.context.transfer_syntax))
    return CommitmentRequest(
        calling_ae=requestor.ae_title.strip(),
        called_ae=cast(A_ASSOCIATE, requestor.primitive).called_ae_title.strip(),
        transaction_uid=transaction_uid,
        listed=listed,
    )


def read_information(encoded: BytesIO, syntax: UID) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Read the Action Information of a request, PS3.4 table J.3-1.

    Args:
        encoded: the data set as it came.
        syntax: its transfer syntax.

    Returns:
        Transaction UID, and (SOP Class UID, SOP Instance UID) per item of Referenced SOP Sequence, each once.

    Raises:
        Invalid: 0x0115 not a data set, a UID is missing or none, or nothing is listed; 0x0213 too much is listed.
    """
    if len(encoded.getbuffer()) > _MAX_BYTES:
        raise Invalid(_RESOURCE_LIMITATION)
    try:
        information = decode(encoded, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
        transaction_uid = _uid(information, "TransactionUID")
        items = list(information.get("ReferencedSOPSequence") or ())
        if len(items) > MAX_REFERENCES:
            raise Invalid(_RESOURCE_LIMITATION)
        listed = tuple(dict.fromkeys(_references(items)))
    except Invalid:
        raise
    except Exception as exc:  # pydicom raises what it likes on foreign bytes
        raise Invalid(_INVALID_ARGUMENT) from exc
    if not listed:
        raise Invalid(_INVALID_ARGUMENT)
    return transaction_uid, listed


def _references(items: list[Dataset]) -> Iterator[tuple[str, str]]:
    for item in items:
        yield _uid(item, "ReferencedSOPClassUID"), _uid(item, "ReferencedSOPInstanceUID")


def _uid(ds: Dataset, keyword: str) -> str:
    uid = str(ds.get(keyword, "")).rstrip(" \0")
    if len(uid) > 64 or not _UID.fullmatch(uid):
        raise Invalid(_INVALID_ARGUMENT)
    return uid
