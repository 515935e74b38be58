"""Modality Performed Procedure Step as SCP: only what says that an exam is over is read and kept.

Service: PS3.4 F.7; N-CREATE opens a step, N-SET ends it and may list what was made. Patient, order and everything
else in the messages are not looked at. What this is not: a manager of procedure steps; nobody can ask for them here.
"""

import re
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any, cast

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import build_context, evt
from pynetdicom.dimse_primitives import N_CREATE, N_SET
from pynetdicom.dsutils import decode
from pynetdicom.presentation import PresentationContext

from dicom_ai.errors import DicomAIError
from dicom_ai.log import get_logger
from dicom_ai.ports import StepMessage, Steps
from dicom_ai.receive.commitment import MAX_REFERENCES, Invalid

MPPS = "1.2.840.10008.3.1.2.3.3"

_MAX_BYTES = 4 << 20
_SUCCESS, _PROCESSING_FAILURE = 0x0000, 0x0110
_INVALID_VALUE, _INVALID_INSTANCE, _RESOURCE_LIMITATION = 0x0106, 0x0117, 0x0213
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")
_STATES = ("IN PROGRESS", "COMPLETED", "DISCONTINUED")
_LISTS = ("ReferencedImageSequence", "ReferencedNonImageCompositeSOPInstanceSequence")


class ProcedureStepService:
    """Answers N-CREATE and N-SET requests; see `acceptor.PynetdicomAcceptor.offer`."""

    def __init__(self, steps: Steps) -> None:
        """Take what writes a message down."""
        self._steps = steps

    def contexts(self) -> list[PresentationContext]:
        """What is negotiated."""
        return [build_context(MPPS)]

    def handlers(self) -> list[evt.EventHandlerType]:
        """What pynetdicom calls."""
        return [(evt.EVT_N_CREATE, self._create), (evt.EVT_N_SET, self._set)]

    def _create(self, event: evt.Event) -> tuple[int, None]:
        request = cast(N_CREATE, event.request)
        return self._answer(event, lambda: (request.AffectedSOPInstanceUID, request.AttributeList, True))

    def _set(self, event: evt.Event) -> tuple[int, None]:
        request = cast(N_SET, event.request)
        return self._answer(event, lambda: (request.RequestedSOPInstanceUID, request.ModificationList, False))

    def _answer(self, event: evt.Event, parts: Callable[[], tuple[Any, Any, bool]]) -> tuple[int, None]:
        """Answer one request with the status that is true; there is never an Attribute List."""
        try:
            uid, encoded, is_new = parts()
            syntax = UID(event.context.transfer_syntax)
            state, listed = read_step(encoded or BytesIO(), syntax, is_new=is_new)
            if uid is None or not _is_uid(str(uid)):
                raise Invalid(_INVALID_INSTANCE)
            peer = event.assoc.requestor.ae_title.strip()
            status = self._steps(StepMessage(peer, str(uid), state, listed, is_new))
        except Invalid as exc:
            status = exc.status
        except DicomAIError as exc:
            status = _PROCESSING_FAILURE
            get_logger().error("step not written down", action="receive", error=type(exc).__name__, reason=exc.reason)
        except Exception as exc:  # noqa: BLE001 - whatever the peer sent, it gets an answer
            status = _PROCESSING_FAILURE
            get_logger().error("fault while receiving", action="receive", error=type(exc).__name__)
        if status != _SUCCESS:
            get_logger().warning("refused", action="receive", status=f"0x{status:04X}")
        return status, None


def read_step(encoded: BytesIO, syntax: UID, *, is_new: bool) -> tuple[str, tuple[str, ...]]:
    """Read the two things that matter of a message, PS3.3 C.4.14 and C.4.15.

    Args:
        encoded: the data set as it came.
        syntax: its transfer syntax.
        is_new: of an N-CREATE: the step must be in progress, and what it lists is not looked at.

    Returns:
        Performed Procedure Step Status ("" where an N-SET leaves it as it is) and the SOP Instance UIDs listed in
        Performed Series Sequence.

    Raises:
        Invalid: 0x0106 not a data set, no such status, or something listed has no UID; 0x0213 too much is listed.
    """
    if len(encoded.getbuffer()) > _MAX_BYTES:
        raise Invalid(_RESOURCE_LIMITATION)
    try:
        ds = decode(encoded, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
        state = str(ds.get("PerformedProcedureStepStatus", "") or "").strip()
        listed = () if is_new else tuple(_listed(ds))
    except Invalid:
        raise
    except Exception as exc:  # pydicom raises what it likes on foreign bytes
        raise Invalid(_INVALID_VALUE) from exc
    if state not in (_STATES[:1] if is_new else ("", *_STATES)) or not all(map(_is_uid, listed)):
        raise Invalid(_INVALID_VALUE)
    return state, listed


def _listed(ds: Dataset) -> Iterator[str]:
    count = 0
    for series in ds.get("PerformedSeriesSequence") or ():
        for keyword in _LISTS:
            for item in series.get(keyword) or ():
                count += 1
                if count > MAX_REFERENCES:
                    raise Invalid(_RESOURCE_LIMITATION)
                yield str(item.get("ReferencedSOPInstanceUID", "")).rstrip(" \0")


def _is_uid(text: str) -> bool:
    return len(text) <= 64 and _UID.fullmatch(text) is not None
