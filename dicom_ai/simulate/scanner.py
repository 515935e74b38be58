"""Sends exams as a scanner does: one association per study, one C-STORE after another, sometimes breaking off.

What this is not: the service's own delivery. A scanner keeps nothing and repeats nothing.
"""

import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode

from dicom_ai.errors import PeerRefused, PeerUnreachable, SettingsError
from dicom_ai.ports import Node
from dicom_ai.simulate.dataset import ExamKind
from dicom_ai.simulate.exam import Exam, demo_content, exam
from dicom_ai.simulate.patients import patient_of
from dicom_ai.simulate.screen import layouts

DEVICES = ("logiq-e9", "other-vendor")
TIMEOUT_S = 60.0


class _Line:
    """The TCP connection under an association: pynetdicom leaves its socket open where the peer was faster."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    def on_request(self, event: evt.Event) -> None:
        """Take hold of the socket before it connects; Nagle's wait would cost 40 ms per object."""
        holder = event.assoc.dul.socket
        if holder is not None and holder.socket is not None:
            self._socket = holder.socket
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def on_close(self, event: evt.Event) -> None:
        """End the wait for a response that cannot come any more; pynetdicom would wait out its time limit."""
        event.assoc.dimse.msg_queue.put((None, None))

    def close(self) -> None:
        """Close the socket, again if need be."""
        if self._socket is not None:
            self._socket.close()


def make_exams(device: str, kind: str, studies: int, seed: int) -> Iterator[Exam]:
    """Draw studies one by one, each of another patient.

    Args:
        device: "logiq-e9", or the name of a layout.
        kind: "lung" or "uterus".
        studies: how many.
        seed: of the first study; the next study has the next seed.

    Raises:
        SettingsError: no such device or kind of exam.
    """
    if device not in DEVICES and device not in layouts():
        raise SettingsError(f"no device {device!r} is simulated; use {' or '.join(DEVICES)}")
    if kind not in ("lung", "uterus"):
        raise SettingsError(f"no exam {kind!r} is simulated; use lung or uterus")
    return _exams(device, "lung" if kind == "lung" else "uterus", range(seed, seed + studies))


def send_exams(
    exams: Iterable[Exam],
    to: Node,
    *,
    rate: float = 0.0,
    abort_at: int | None = None,
    calling: str = "LOGIQE9",
) -> Iterator[dict[str, Any]]:
    """Send every object of every exam.

    Args:
        exams: one association each.
        to: whom to call.
        rate: objects per second; 0 sends as fast as the peer answers.
        abort_at: number, from 1 over all exams, of the object in whose middle the scanner aborts and is gone.
        calling: our AE title.

    Yields:
        {"sop_uid", "study", "status"} per object; status is the response's, "refused" without a presentation
        context, "lost" without an answer, or "aborted" by ourselves.

    Raises:
        PeerUnreachable: no association. PeerRefused: an association without any presentation context.
    """
    number = 0
    for one in exams:
        with _associated(one, to, calling) as association:
            for ds in one:
                number += 1
                begun = time.monotonic()
                status = _abort_in_the_middle(association, ds) if number == abort_at else _store(association, ds)
                yield {"sop_uid": str(ds.SOPInstanceUID), "study": one.study_instance_uid, "status": status}
                if status == "aborted":
                    return
                if rate:
                    time.sleep(max(0.0, 1 / rate - (time.monotonic() - begun)))


@contextmanager
def _associated(one: Exam, to: Node, calling: str) -> Iterator[Association]:
    line = _Line()
    try:
        association = _associate(one, to, calling, line)
        try:
            yield association
        except BaseException:  # also a caller who stops listening to the rows
            association.abort()
            raise
        if association.is_established:
            association.release()
    finally:
        line.close()


def _exams(device: str, kind: ExamKind, seeds: Iterable[int]) -> Iterator[Exam]:
    for seed in seeds:
        patient = patient_of(seed, sex="F" if kind == "uterus" else None)
        yield exam(kind, seed=seed, patient=patient, layout=device, content=demo_content(kind, seed))


def _associate(one: Exam, to: Node, calling: str, line: _Line) -> Association:
    ae = AE(ae_title=calling)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = TIMEOUT_S
    # One context per (class, syntax): each pair is accepted or refused for itself.
    for sop_class, syntax in dict.fromkeys((str(ds.SOPClassUID), str(ds.file_meta.TransferSyntaxUID)) for ds in one):
        ae.add_requested_context(sop_class, syntax)
    handlers: list[Any] = [(evt.EVT_REQUESTED, line.on_request), (evt.EVT_CONN_CLOSE, line.on_close)]
    association = ae.associate(to.host, to.port, ae_title=to.ae_title, evt_handlers=handlers)
    if association.is_rejected:
        raise PeerRefused("association rejected")
    if not association.is_established:
        # pynetdicom aborts by itself when no context is accepted.
        if association.rejected_contexts:
            raise PeerRefused("no presentation context accepted")
        raise PeerUnreachable("no association")
    return association


def _store(association: Association, ds: Dataset) -> str:
    if _context_id(association, ds) is None:
        return "refused"
    # `is_established` alone may be stale: it follows the connection with a delay.
    if not (association.is_established and association.dul.is_alive()):
        return "lost"
    try:
        response = association.send_c_store(ds)
    except RuntimeError:  # dropped between the question and the call
        return "lost"
    return f"0x{response.Status:04X}" if "Status" in response else "lost"


def _context_id(association: Association, ds: Dataset) -> int | None:
    wanted = (ds.SOPClassUID, ds.file_meta.TransferSyntaxUID)
    for context in association.accepted_contexts:
        if (context.abstract_syntax, context.transfer_syntax[0]) == wanted:
            return context.context_id
    return None


def _abort_in_the_middle(association: Association, ds: Dataset) -> str:
    """Send the command and half of the data set, then A-ABORT, as a scanner does that is switched off."""
    context_id = _context_id(association, ds)
    if context_id is not None:
        syntax = ds.file_meta.TransferSyntaxUID
        request = C_STORE()
        request.MessageID, request.Priority = 1, 2
        request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
        request.DataSet = BytesIO(encode(ds, syntax.is_implicit_VR, syntax.is_little_endian) or b"")
        message = C_STORE_RQ()
        message.primitive_to_message(request)
        fragments = list(message.encode_msg(context_id, association.dimse.maximum_pdu_size))
        for fragment in fragments[: max(2, len(fragments) // 2)]:
            association.dul.send_pdu(fragment)
    association.abort()
    return "aborted"
