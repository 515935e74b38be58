"""One association over which an archive is asked: C-FIND, C-GET and C-MOVE of the Study Root model (PS3.4 C.6.2).

pynetdicom negotiates, decodes commands and ends the association. The exchange is done here: the library's own waits
without end for a reactor that died in the wrong moment, has no limit on how long or how much an archive may answer,
and parses what was sent before anybody could look at it. The reactor is therefore held from the start.

What this is not: what to ask, or whether an answer is believed (`query`, `retrieve`).
"""

import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import _config, evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association as Negotiated
from pynetdicom.dimse_primitives import C_FIND, C_GET, C_MOVE, C_STORE
from pynetdicom.dsutils import decode, encode
from pynetdicom.presentation import PresentationContext, build_context, build_role

from dicom_ai.errors import After, PeerFailed, PeerRefused, PeerUnreachable
from dicom_ai.instance import STRUCTURED_REPORTS
from dicom_ai.ports import Node
from dicom_ai.settings import Deliver

FIND, MOVE, GET = (f"1.2.840.10008.5.1.4.1.2.2.{last}" for last in (1, 2, 3))
"""Study Root Query/Retrieve Information Model: FIND, MOVE, GET."""

PENDING = (0xFF00, 0xFF01)
LONGEST_ANSWER = 1 << 26
"""Bytes that all messages answering one request may have together; a report is a few ten thousand."""

_PATIENCE = 5  # a request as a whole may take this many times as long as one response
_LARGEST_PDU = 131072
_REFUSED_STORE = 0xA900  # data set does not match what was asked for, PS3.4 B.2.3
_SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)

# The library's own handlers would build texts of every message (with identities in them) for a log that drops them.
_config.LOG_HANDLER_LEVEL = "none"

Take = Callable[[C_STORE, str], bool]
"""What is done with an object that arrives during a C-GET, in this transfer syntax; whether it was asked for."""


@dataclass(frozen=True)
class Terms:
    """What an association is for.

    Attributes:
        classes: storage classes that may arrive by C-GET, each with its transfer syntaxes.
        split: a context for each transfer syntax, so that an archive sends what it has as it has it; else one for all.
        longest: bytes of one object that arrives by C-GET. None, and for everything else: `LONGEST_ANSWER` for all
            messages that answer one request.
    """

    classes: Mapping[str, Sequence[str]] = field(default_factory=lambda: dict.fromkeys(STRUCTURED_REPORTS, _SYNTAXES))
    split: bool = False
    longest: int | None = None


class ArchiveAssociation:
    """An established association of which we are the service class user. Made by `asking`."""

    def __init__(
        self, negotiated: Negotiated, traffic: "_Traffic", response_timeout_s: float, terms: Terms = Terms()
    ) -> None:
        self._negotiated, self._traffic, self._timeout_s, self._terms = negotiated, traffic, response_timeout_s, terms
        self._message_id = 0
        self._syntaxes: dict[int, str] = {}
        self._contexts: dict[str, int] = {}
        for context in negotiated.accepted_contexts:
            number = int(context.context_id or 0)
            self._syntaxes[number] = str(context.transfer_syntax[0])
            self._contexts.setdefault(str(context.abstract_syntax), number)

    @property
    def can_get(self) -> bool:
        """Whether the archive gives objects over this association."""
        return GET in self._contexts and any(uid in self._contexts for uid in self._terms.classes)

    @property
    def can_move(self) -> bool:
        """Whether the archive sends objects elsewhere when asked."""
        return MOVE in self._contexts

    def find(self, identifier: Dataset) -> Iterator[Dataset]:
        """Ask with a C-FIND; each answer as the archive gave it, nothing of it believed yet.

        Raises:
            PeerRefused: the archive answers no queries of ours.
            PeerUnreachable: it dropped the association, took too long, said too much or what cannot be read.
            PeerFailed: it ended the query with a failure.
        """
        syntax = UID(self._syntaxes[self._context(FIND)])
        for _, message in self._exchange(C_FIND(), FIND, identifier):
            if message.Status not in PENDING:
                if message.Status != 0:
                    raise PeerFailed(int(message.Status), After.RETRY, "to C-FIND")
                return
            try:
                yield decode(message.Identifier, syntax.is_implicit_VR, syntax.is_little_endian)
            except Exception as exc:  # noqa: BLE001 - whatever a foreign data set makes the parser raise
                raise self._ended(f"an answer cannot be read ({type(exc).__name__})") from None

    def get(self, identifier: Dataset, take: Take) -> int:
        """Ask with a C-GET and give every object that arrives to `take`; return the final status.

        Raises:
            PeerRefused, PeerUnreachable: as `find`; a failure status is returned, not raised.
        """
        for context_id, message in self._exchange(C_GET(), GET, identifier):
            if isinstance(message, C_STORE):
                was_asked = take(message, self._syntaxes.get(context_id, ""))
                self._answer_store(message, context_id, 0x0000 if was_asked else _REFUSED_STORE)
            elif message.Status not in PENDING:
                return int(message.Status)
        raise self._ended("no end")

    def move(self, identifier: Dataset, to: str) -> int:
        """Ask with a C-MOVE to send what is meant to the AE title `to`; return the final status; raises as `get`."""
        request = C_MOVE()
        request.MoveDestination = to
        for _, message in self._exchange(request, MOVE, identifier):
            if not isinstance(message, C_STORE) and message.Status not in PENDING:
                return int(message.Status)
        raise self._ended("no end")

    def end(self) -> None:
        """Release, or abort where there is nothing left to agree on."""
        if self._is_alive():
            self._negotiated.release()
        else:
            self._negotiated.abort()
        self._traffic.close()

    def abort(self) -> None:
        """End the association at once."""
        self._negotiated.abort()
        self._traffic.close()

    def _context(self, model: str) -> int:
        if model not in self._contexts:
            raise PeerRefused("it answers no such request of ours")
        return self._contexts[model]

    def _exchange(self, request: Any, model: str, identifier: Dataset) -> Iterator[tuple[int, Any]]:
        """Send a request; every message that follows, with its context, until nobody asks for the next."""
        context_id = self._context(model)
        syntax = UID(self._syntaxes[context_id])
        self._message_id = self._message_id % 65535 + 1
        request.MessageID, request.AffectedSOPClassUID, request.Priority = self._message_id, model, 0
        request.Identifier = BytesIO(encode(identifier, syntax.is_implicit_VR, syntax.is_little_endian) or b"")
        if not self._is_alive():
            raise self._ended("the association dropped")
        deadline, self._traffic.n_received = self._deadline(), 0
        self._traffic.longest = (self._terms.longest if isinstance(request, C_GET) else None) or LONGEST_ANSWER
        self._negotiated.dimse.send_msg(request, context_id)
        while True:
            got, message = self._negotiated.dimse.get_msg(block=True)
            if message is None:
                raise self._ended("no response in time" if self._is_alive() else "the association dropped")
            if self._traffic.is_over:
                raise self._ended("it sent more than any answer takes")
            if time.monotonic() > deadline:
                raise self._ended("it did not come to an end in time")
            is_object = isinstance(message, C_STORE) and message.MessageIDBeingRespondedTo is None
            if not is_object and (type(message) is not type(request) or message.Status is None):
                raise self._ended("it answered something that was not asked")
            if not is_object and message.MessageIDBeingRespondedTo != request.MessageID:
                raise self._ended("it answered another request")
            yield int(got or 0), message
            if self._terms.longest is not None and not isinstance(request, C_FIND):
                # objects are many and large: each has its own time and room; whoever takes them counts them
                deadline, self._traffic.n_received = self._deadline(), 0

    def _deadline(self) -> float:
        return time.monotonic() + _PATIENCE * self._timeout_s

    def _answer_store(self, request: C_STORE, context_id: int, status: int) -> None:
        response = C_STORE()
        response.MessageIDBeingRespondedTo = request.MessageID
        response.AffectedSOPClassUID = request.AffectedSOPClassUID
        response.AffectedSOPInstanceUID = request.AffectedSOPInstanceUID
        response.Status = status
        self._negotiated.dimse.send_msg(response, context_id)

    def _ended(self, why: str) -> PeerUnreachable:
        """What happened, with the association ended: a late answer must never be taken for one to the next request."""
        self.abort()
        return PeerUnreachable(why)

    def _is_alive(self) -> bool:
        return self._negotiated.dul.is_alive() and not self._negotiated.acse.is_aborted()


class _Traffic:
    """The connection under the association and how much came over it since the last request."""

    def __init__(self, limit_s: float) -> None:
        self.n_received, self.longest, self.is_open, self.is_over = 0, LONGEST_ANSWER, False, False
        self._limit_s = limit_s
        self._socket: socket.socket | None = None

    def on_request(self, event: evt.Event) -> None:
        """The socket exists, not yet connected; the library leaves it open where the connection fails."""
        if self._socket is None and event.assoc.dul.socket is not None:
            self._socket = event.assoc.dul.socket.socket

    def on_open(self, _event: evt.Event) -> None:
        """Connected. An archive that stops reading must not hold us for ever."""
        self.is_open = True
        if self._socket is not None:
            self._socket.settimeout(self._limit_s)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def on_data(self, event: evt.Event) -> None:
        """Bytes arrived; runs in the thread that reads the socket."""
        self.n_received += len(event.data)
        if self.n_received > self.longest and not self.is_over:
            self.is_over = True
            event.assoc.dul.event_queue.put("Evt19")  # as pynetdicom ends an association it cannot follow

    def close(self) -> None:
        """Close the socket; again does nothing."""
        if self._socket is not None:
            self._socket.close()


@contextmanager
def asking(node: Node, settings: Deliver, terms: Terms = Terms()) -> Iterator[ArchiveAssociation]:
    """An association with an archive; released at the end, aborted on any error.

    Args:
        node: whom to call.
        settings: our AE title and the time limits.
        terms: what may arrive over it; documents unless told otherwise.

    Raises:
        PeerUnreachable: no connection, no answer in time, or the association was rejected.
        PeerRefused: the archive takes part in no query of ours.
    """
    association = _open(node, settings, terms)
    try:
        yield association
    except BaseException:
        association.abort()
        raise
    association.end()


def _open(node: Node, settings: Deliver, terms: Terms) -> ArchiveAssociation:
    ours = ApplicationEntity(ae_title=settings.ae_title)
    ours.connection_timeout = ours.acse_timeout = settings.connect_timeout_s
    ours.dimse_timeout = ours.network_timeout = settings.response_timeout_s
    traffic = _Traffic(settings.response_timeout_s)
    where = f"{node.ae_title} at {node.host}:{node.port}"
    try:
        negotiated = ours.associate(
            node.host,
            node.port,
            contexts=_contexts(terms),
            ae_title=node.ae_title,
            max_pdu=_LARGEST_PDU,
            ext_neg=[build_role(uid, scp_role=True) for uid in terms.classes],
            evt_handlers=[
                (evt.EVT_ACSE_SENT, traffic.on_request),
                (evt.EVT_CONN_OPEN, traffic.on_open),
                (evt.EVT_DATA_RECV, traffic.on_data),
                (evt.EVT_ESTABLISHED, _hold_reactor),
            ],
        )
    except OSError as exc:  # the name does not resolve
        raise PeerUnreachable(f"{node.host}: {exc.strerror}") from exc
    if negotiated.is_established:
        return ArchiveAssociation(negotiated, traffic, settings.response_timeout_s, terms)
    traffic.close()
    answer = negotiated.acceptor.primitive
    if not traffic.is_open:
        raise PeerUnreachable(f"no TCP connection to {where}")
    if answer is not None and answer.result == 0:
        raise PeerRefused(f"{where} takes no queries of ours")
    raise PeerUnreachable(f"{where} did not accept the association")


def _contexts(terms: Terms) -> list[PresentationContext]:
    models = [build_context(uid, list(_SYNTAXES)) for uid in (FIND, GET, MOVE)]
    if not terms.split:
        return [*models, *(build_context(uid, list(syntaxes)) for uid, syntaxes in terms.classes.items())]
    return [*models, *(build_context(uid, one) for uid, syntaxes in terms.classes.items() for one in syntaxes)]


def _hold_reactor(event: evt.Event) -> None:
    """Runs before the reactor's first pass, so nothing has to be waited for."""
    event.assoc._reactor_checkpoint.clear()  # noqa: SLF001 - what every send_* method of the library does
