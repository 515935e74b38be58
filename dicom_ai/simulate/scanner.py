"""Sends exams as a scanner does: over one association per study or per object, one C-STORE after another, sometimes
breaking off, mistaken or obstinate.

What this is not: the service's own delivery. A scanner keeps nothing.
"""

import itertools
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode

from dicom_ai.errors import PeerRefused, PeerUnreachable, SettingsError
from dicom_ai.ports import Node
from dicom_ai.simulate.commitment import commit
from dicom_ai.simulate.dataset import ExamKind
from dicom_ai.simulate.device import device as named
from dicom_ai.simulate.exam import Exam, demo_content, exam
from dicom_ai.simulate.habits import Habits
from dicom_ai.simulate.patients import patient_of
from dicom_ai.simulate.screen import layouts

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


def make_exams(device: str, kind: str, studies: int, seed: int, *, charset: str | None = None) -> Iterator[Exam]:
    """Draw studies one by one, each of another patient.

    Args:
        device: a name of `devices`, or of a layout.
        kind: "lung" or "uterus".
        studies: how many.
        seed: of the first study; the next study has the next seed.
        charset: of the patients' names; by seed when not given.

    Raises:
        SettingsError: no such device, kind of exam or character set.
    """
    if device not in layouts():
        named(device)
    if kind not in ("lung", "uterus"):
        raise SettingsError(f"no exam {kind!r} is simulated; use lung or uterus")
    patient_of(seed, charset=charset)  # an unknown character set is told now, not with the first study
    return _exams(device, "lung" if kind == "lung" else "uterus", range(seed, seed + studies), charset)


def send_exams(
    exams: Iterable[Exam],
    to: Node,
    *,
    rate: float = 0.0,
    habits: Habits | None = None,
    calling: str = "LOGIQE9",
) -> Iterator[dict[str, Any]]:
    """Send every object of every exam.

    Args:
        exams: one association each, unless the scanner sends one by one.
        to: whom to call.
        rate: objects per second; 0 sends as fast as the peer answers.
        habits: how the scanner behaves; well and in one piece when not given.
        calling: our AE title.

    Yields:
        {"sop_uid", "study", "status", "attempt"} per object and attempt; status is the response's, "refused" without
        a presentation context, "lost" without an answer, or "aborted" by ourselves. After an exam whose commitment
        is asked for, {"study", "transaction", "status", "stored", "failed"} of `commitment.commit`.

    Raises:
        PeerUnreachable: no association. PeerRefused: an association without any presentation context. Neither while
            a repetition is left.
    """
    habits = habits or Habits()
    number = itertools.count(1)
    for one in exams:
        waiting = [_Sending(next(number), ds, one.study_instance_uid) for ds in one]
        for batch in [[sending] for sending in waiting] if habits.one_by_one else [waiting]:
            if batch[0].number > 1 and habits.one_by_one:
                time.sleep(habits.pause_s)
            is_gone = False
            for row in _persistently(batch, to, _Way(habits, rate, calling)):
                is_gone |= row["status"] == "aborted" and not habits.repeats
                yield row
            if is_gone:
                return
        if habits.commit is not None:
            listed = [(str(one.ds.SOPClassUID), str(one.ds.SOPInstanceUID)) for one in waiting]
            yield {"study": waiting[0].study, **commit(listed, to, calling, habits.commit)}


@dataclass(frozen=True)
class _Sending:
    """One object on its way."""

    number: int
    ds: Dataset
    study: str


@dataclass(frozen=True)
class _Way:
    habits: Habits
    rate: float
    calling: str


def _persistently(batch: Sequence[_Sending], to: Node, way: _Way) -> Iterator[dict[str, Any]]:
    """One association, and for what failed as many further ones as the scanner's patience lasts."""
    for attempt in range(way.habits.repeats + 1):
        failed = []
        for sending, status in _attempt(batch, to, way, attempt):
            if status != "0x0000":
                failed.append(sending)
            uid = str(sending.ds.SOPInstanceUID)
            yield {"sop_uid": uid, "study": sending.study, "status": status, "attempt": attempt + 1}
        if not failed:
            return
        batch = failed
        if attempt < way.habits.repeats:
            time.sleep(way.habits.repeat_after_s)


def _attempt(batch: Sequence[_Sending], to: Node, way: _Way, attempt: int) -> Iterator[tuple[_Sending, str]]:
    habits = way.habits
    try:
        with _associated([sending.ds for sending in batch], to, way) as association:
            for place, sending in enumerate(batch):
                begun = time.monotonic()
                if sending.number == habits.abort_at and not attempt:
                    _abort_in_the_middle(association, sending, habits)
                    # What was still to come is lost with the association; it is only told of if it will be repeated.
                    yield sending, "aborted"
                    yield from ((rest, "lost") for rest in batch[place + 1 :] if habits.repeats)
                    return
                yield sending, _store(association, sending, habits)
                if way.rate:
                    time.sleep(max(0.0, 1 / way.rate - (time.monotonic() - begun)))
    except (PeerUnreachable, PeerRefused):
        if attempt >= habits.repeats:
            raise
        yield from ((sending, "lost") for sending in batch)


@contextmanager
def _associated(objects: Sequence[Dataset], to: Node, way: _Way) -> Iterator[Association]:
    line = _Line()
    try:
        association = _associate(objects, to, way, line)
        try:
            yield association
        except BaseException:  # also a caller who stops listening to the rows
            association.abort()
            raise
        if association.is_established:
            association.release()
    finally:
        line.close()


def _exams(device: str, kind: ExamKind, seeds: Iterable[int], charset: str | None) -> Iterator[Exam]:
    for seed in seeds:
        patient = patient_of(seed, sex="F" if kind == "uterus" else None, charset=charset)
        yield exam(kind, seed=seed, patient=patient, layout=device, content=demo_content(kind, seed))


def _associate(objects: Sequence[Dataset], to: Node, way: _Way, line: _Line) -> Association:
    ae = AE(ae_title=way.calling)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = TIMEOUT_S
    # One context per (class, syntax): each pair is accepted or refused for itself.
    for pair in dict.fromkeys(pair for ds in objects for pair in _pairs(ds, way.habits)):
        ae.add_requested_context(*pair)
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


def _pairs(ds: Dataset, habits: Habits) -> list[tuple[str, str]]:
    """(SOP class, transfer syntax) in which the scanner can send an object, the one it likes best first."""
    own = str(ds.file_meta.TransferSyntaxUID)
    can_be_deflated = not ds.file_meta.TransferSyntaxUID.is_encapsulated
    syntaxes = [own] if habits.deflated != "only" or not can_be_deflated else []
    if habits.deflated and can_be_deflated:
        syntaxes.insert(0, str(DeflatedExplicitVRLittleEndian))
    return [(str(ds.SOPClassUID), syntax) for syntax in syntaxes]


def _context(association: Association, ds: Dataset, habits: Habits) -> tuple[int, UID] | None:
    """Id and transfer syntax of the context an object goes through."""
    for wanted in _pairs(ds, habits):
        for context in association.accepted_contexts:
            if (context.abstract_syntax, context.transfer_syntax[0]) == wanted:
                return int(context.context_id or 0), UID(context.transfer_syntax[0])
    return None


def _store(association: Association, sending: _Sending, habits: Habits) -> str:
    context = _context(association, sending.ds, habits)
    if context is None:
        return "refused"
    # `is_established` alone may be stale: it follows the connection with a delay.
    if not (association.is_established and association.dul.is_alive()):
        return "lost"
    request = _request(sending, context[1], habits)
    association._reactor_checkpoint.clear()  # noqa: SLF001 - as `send_c_store` does, which would encode by itself
    try:
        association.dimse.send_msg(request, context[0])
        _, response = association.dimse.get_msg(block=True)
    except RuntimeError:  # dropped between the question and the call
        return "lost"
    finally:
        association._reactor_checkpoint.set()  # noqa: SLF001
    status = getattr(response, "Status", None)
    return "lost" if status is None else f"0x{status:04X}"


def _request(sending: _Sending, syntax: UID, habits: Habits) -> C_STORE:
    request = C_STORE()
    request.MessageID, request.Priority = sending.number % 65536, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = sending.ds.SOPClassUID, sending.ds.SOPInstanceUID
    request.DataSet = BytesIO(_encoded(sending, syntax, habits))
    return request


def _encoded(sending: _Sending, syntax: UID, habits: Habits) -> bytes:
    ds = _with_padding(sending.ds) if habits.padded_uids else sending.ds
    is_implicit = syntax.is_implicit_VR
    if sending.number in habits.wrong_syntax:
        is_implicit = not is_implicit
    return encode(ds, is_implicit, syntax.is_little_endian, syntax.is_deflated) or b""


def _with_padding(ds: Dataset) -> Dataset:
    """A copy whose UIDs end as no UID should: PS3.5 9.1 asks for a single NUL where the length is odd."""
    copy = Dataset()
    copy.update(ds)
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        uid = str(ds[keyword].value).strip()
        padded = uid + (" " if len(uid) % 2 else "\0\0")
        copy[keyword] = DataElement(keyword, "UI", padded, already_converted=True)
    return copy


def _abort_in_the_middle(association: Association, sending: _Sending, habits: Habits) -> None:
    """Send the command and half of the data set, then A-ABORT, as a scanner does that is switched off."""
    context = _context(association, sending.ds, habits)
    if context is not None:
        request = _request(sending, context[1], habits)
        length = len(request.DataSet.getvalue()) if request.DataSet is not None else 0
        # Small pieces whatever the peer would take: half of an object must be less than all of it.
        piece = max(16, length // 4)
        if association.dimse.maximum_pdu_size:
            piece = min(piece, association.dimse.maximum_pdu_size)
        message = C_STORE_RQ()
        message.primitive_to_message(request)
        fragments = list(message.encode_msg(context[0], piece))
        for fragment in fragments[: max(2, len(fragments) // 2)]:
            association.dul.send_pdu(fragment)
    association.abort()
