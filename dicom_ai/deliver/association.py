"""One outgoing association: opened with stated contexts, carries many objects byte for byte, ends cleanly.

pynetdicom negotiates, encodes commands and ends the association. Sending the data set is done here, for four reasons
found in its source (3.0.4): it would decode and encode the data set again, and the bytes must be those stored; it
queues a whole object before the first byte leaves, and a clip can be gigabytes; its time limit for the response
counts the transfer too, so that a slow line would never succeed; and it waits without end for a reactor that has died
in the wrong moment. The reactor (the thread that would take our responses for requests) is therefore held from
the start, and its job of noticing a dropped association is done where we wait.

What this is not: a decision about statuses. `dicom_ai.deliver.status` has the table.
"""

import socket
import time
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom.errors import InvalidDicomError
from pynetdicom import _config, evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association as Negotiated
from pynetdicom.dimse_messages import C_ECHO_RQ, C_STORE_RQ, N_EVENT_REPORT_RQ
from pynetdicom.dimse_primitives import C_ECHO, C_STORE, N_EVENT_REPORT
from pynetdicom.dsutils import split_dataset
from pynetdicom.presentation import build_context, build_role

from dicom_ai import points
from dicom_ai.deliver.address import is_ae_title
from dicom_ai.deliver.negotiate import MAX_CONTEXTS, Wanted
from dicom_ai.errors import PeerRefused, PeerUnreachable, ResourceError, UnreadableInstance
from dicom_ai.ports import Node
from dicom_ai.settings import Deliver

_LARGEST_PDU = 131072  # more gains nothing on a LAN; a peer that allows "unlimited" gets this
_QUEUED_PDUS = 16  # handed to the sending thread at most; bounds memory at 2 MiB an association
_SEND_BUFFER = 262144  # what lies here when the wait for the response begins still has to cross the line
_POLL_S = 0.0005

# The library's own handlers would build texts of every message (with UIDs in them) for a log that drops them.
_config.LOG_HANDLER_LEVEL = "none"


class Association:
    """An established association of which we are the service class user. Made by `open_association`."""

    def __init__(self, negotiated: Negotiated, line: "_Line") -> None:
        self._negotiated, self._line = negotiated, line
        self._message_id = 0
        self._contexts: dict[Wanted, int] = {}
        accepted: dict[str, set[str]] = {}
        for context in negotiated.accepted_contexts:
            sop_class, syntax = str(context.abstract_syntax), str(context.transfer_syntax[0])
            self._contexts[sop_class, syntax] = int(context.context_id or 0)
            accepted.setdefault(sop_class, set()).add(syntax)
        self.accepted: Mapping[str, set[str]] = accepted

    def store(self, path: Path) -> int:
        """Send the data set of a Part 10 file, unchanged, and wait for the response.

        Args:
            path: file with File Meta Information; what follows that goes out byte for byte.

        Returns:
            DIMSE status of the response, 0x0000..0xFFFF.

        Raises:
            UnreadableInstance: the file has no usable File Meta Information.
            ResourceError: the file cannot be read.
            PeerRefused: the peer did not accept the object's SOP class in its transfer syntax.
            PeerUnreachable: the association dropped, or no response came in time; it is of no more use.
        """
        (sop_class, syntax), instance, offset = _split(path)
        context_id = self._contexts.get((sop_class, syntax))
        if context_id is None:
            raise PeerRefused(f"{sop_class} in {syntax} was not accepted")
        request = C_STORE()
        request.MessageID = self._next_message_id()
        request.Priority = 0
        request.AffectedSOPClassUID = sop_class
        request.AffectedSOPInstanceUID = instance
        request._dataset_path = (path, offset)  # noqa: SLF001 - what send_c_store sets for a file sent in chunks
        try:
            return self._exchange(request, C_STORE_RQ(), context_id)
        except OSError as exc:
            self.abort()  # the peer has part of an object; nothing else can follow it
            raise ResourceError(f"a stored object cannot be read: {exc.strerror}") from exc

    def echo(self, sop_class: str, syntax: str) -> int:
        """Send a C-ECHO and return the status of its response; raises as `store` does."""
        context_id = self._contexts.get((sop_class, syntax))
        if context_id is None:
            raise PeerRefused("verification was not accepted")
        request = C_ECHO()
        request.MessageID = self._next_message_id()
        request.AffectedSOPClassUID = sop_class
        return self._exchange(request, C_ECHO_RQ(), context_id)

    def event_report(self, context: Wanted, instance: str, event_type: int, information: BytesIO) -> int:
        """Send an N-EVENT-REPORT of the context's SOP class and return the status of its response; raises as `echo`.

        Args:
            context: SOP class and transfer syntax.
            instance: SOP Instance UID the event is of.
            event_type: Event Type ID.
            information: encoded Event Information.
        """
        context_id = self._contexts.get(context)
        if context_id is None:
            raise PeerRefused(f"{context[0]} was not accepted")
        request = N_EVENT_REPORT()
        request.MessageID = self._next_message_id()
        request.AffectedSOPClassUID = context[0]
        request.AffectedSOPInstanceUID = instance
        request.EventTypeID = event_type
        request.EventInformation = information
        return self._exchange(request, N_EVENT_REPORT_RQ(), context_id)

    def release(self) -> None:
        """End the association in agreement with the peer; a peer that does not agree in time is left."""
        if self._is_alive():
            self._negotiated.release()
            self._line.close()
        else:
            self.abort()

    def abort(self) -> None:
        """End the association at once."""
        self._negotiated.abort()
        self._line.close()

    def _next_message_id(self) -> int:
        self._message_id = self._message_id % 65535 + 1
        return self._message_id

    def _exchange(self, request: Any, message: Any, context_id: int) -> int:
        try:
            return self._send_and_wait(request, message, context_id)
        except PeerUnreachable:
            self.abort()  # a late response must never be taken for that of the next object
            raise

    def _send_and_wait(self, request: Any, message: Any, context_id: int) -> int:
        dul, dimse = self._negotiated.dul, self._negotiated.dimse
        message.primitive_to_message(request)
        largest = min(dimse.maximum_pdu_size or _LARGEST_PDU, _LARGEST_PDU)
        for number, fragment in enumerate(message.encode_msg(context_id, largest)):
            self._wait_until_queued_below(_QUEUED_PDUS)
            if number == 3:  # the command and a part of the data set are out; small objects have no middle
                self._wait_until_queued_below(1)
                points.reached("mid-send")
            dul.send_pdu(fragment)
        self._wait_until_queued_below(1)  # the time limit of the response begins when the last byte is handed over
        _, response = dimse.get_msg(block=True)
        if response is None:
            raise PeerUnreachable("no response in time" if self._is_alive() else "the association dropped")
        if type(response) is not type(request) or response.MessageIDBeingRespondedTo != request.MessageID:
            raise PeerUnreachable("the peer answered something that was not asked")
        if response.Status is None:
            raise PeerUnreachable("the peer answered without a status")
        return int(response.Status)

    def _wait_until_queued_below(self, limit: int) -> None:
        while self._negotiated.dul.to_provider_queue.qsize() >= limit:
            self._check_alive()
            time.sleep(_POLL_S)
        self._check_alive()

    def _check_alive(self) -> None:
        if not self._is_alive():
            raise PeerUnreachable("the association dropped")

    def _is_alive(self) -> bool:
        return self._negotiated.dul.is_alive() and not self._negotiated.acse.is_aborted()


class _Line:
    """The TCP connection under an association. The library leaves the socket open where the peer was faster."""

    def __init__(self, limit_s: float) -> None:
        self.is_open = False
        self._limit_s = limit_s
        self._socket: socket.socket | None = None

    def on_request(self, event: evt.Event) -> None:
        """The socket exists, not yet connected. Nagle's wait for a delayed ACK would cost 40 ms per object."""
        if self._socket is None and event.assoc.dul.socket is not None:
            self._socket = event.assoc.dul.socket.socket
            if self._socket is not None:
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)

    def on_open(self, _event: evt.Event) -> None:
        """Connected. A peer that stops reading must not hold us for ever."""
        self.is_open = True
        if self._socket is not None:
            self._socket.settimeout(self._limit_s)

    def close(self) -> None:
        """Close the socket; again does nothing."""
        if self._socket is not None:
            self._socket.close()


def open_association(node: Node, wanted: Sequence[Wanted], settings: Deliver, *, as_scp: bool = False) -> Association:
    """Connect and negotiate.

    A rejected association ("called AE title not recognised", even if the peer calls that permanent) is reported as
    unreachable, not as refused: it says nothing about the object, it is what a PACS answers while its team is still
    adding us, and the retention time bounds the attempts.

    Args:
        node: whom to call.
        wanted: distinct (SOP class, transfer syntax) pairs, 1 to 128.
        settings: our AE title and the time limits.
        as_scp: we provide the services although it is we who call; the peer is asked whether it agrees.

    Raises:
        PeerUnreachable: no connection, no answer in time, or the association was rejected or dropped.
        PeerRefused: the peer accepts none of the pairs.
    """
    if not 1 <= len(wanted) <= MAX_CONTEXTS:
        raise ValueError(f"an association proposes 1 to {MAX_CONTEXTS} contexts, not {len(wanted)}")
    if not (is_ae_title(node.ae_title) and is_ae_title(settings.ae_title)):
        raise PeerUnreachable("an AE title has 1 to 16 ASCII characters and no backslash")
    ours = ApplicationEntity(ae_title=settings.ae_title)
    ours.connection_timeout = ours.acse_timeout = settings.connect_timeout_s
    ours.dimse_timeout = ours.network_timeout = settings.response_timeout_s
    line = _Line(settings.response_timeout_s)
    try:
        negotiated = ours.associate(
            node.host,
            node.port,
            contexts=[build_context(sop_class, syntax) for sop_class, syntax in wanted],
            ae_title=node.ae_title,
            max_pdu=_LARGEST_PDU,
            ext_neg=[build_role(uid, scp_role=True) for uid in {uid for uid, _ in wanted}] if as_scp else None,
            evt_handlers=[
                (evt.EVT_ACSE_SENT, line.on_request),
                (evt.EVT_CONN_OPEN, line.on_open),
                (evt.EVT_ESTABLISHED, _hold_reactor),
            ],
        )
    except OSError as exc:  # the name does not resolve
        raise PeerUnreachable(f"{node.host}: {exc.strerror}") from exc
    if not negotiated.is_established:
        line.close()
        raise _why_not(negotiated, node, is_open=line.is_open, limit_s=settings.connect_timeout_s)
    return Association(negotiated, line)


def _hold_reactor(event: evt.Event) -> None:
    """Runs before the reactor's first pass, so nothing has to be waited for."""
    event.assoc._reactor_checkpoint.clear()  # noqa: SLF001 - what every send_* method of the library does


def _why_not(negotiated: Negotiated, node: Node, *, is_open: bool, limit_s: float) -> PeerUnreachable | PeerRefused:
    where = f"{node.ae_title} at {node.host}:{node.port}"
    if not is_open:
        return PeerUnreachable(f"no TCP connection to {where} within {limit_s:g} s")
    answer = negotiated.acceptor.primitive
    if answer is None:
        return PeerUnreachable(f"{where} took the connection but did not answer the association request")
    if answer.result == 0:
        return PeerRefused(f"{where} accepts none of the proposed SOP classes")
    return PeerUnreachable(f"{where} rejected the association: {answer.reason_str}")


def _split(path: Path) -> tuple[Wanted, str, int]:
    """Read where the data set begins and what it is; the data set itself is not touched."""
    try:
        meta, offset = split_dataset(path)
        pair = str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)
        return pair, str(meta.MediaStorageSOPInstanceUID), offset
    except OSError as exc:
        raise ResourceError(f"a stored object cannot be read: {exc.strerror}") from exc
    except (InvalidDicomError, AttributeError, ValueError, EOFError) as exc:
        raise UnreadableInstance("no File Meta Information") from exc
