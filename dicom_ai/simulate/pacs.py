"""A PACS for tests and demonstrations: keeps what it is sent byte for byte, or misbehaves in a stated way.

What this is not: an archive. Nothing can be found or fetched here; look into the folder.
"""

import hashlib
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from pathlib import Path
from socketserver import BaseServer
from typing import Any, Self, cast

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import AllTransferSyntaxes
from pynetdicom import AE, AllStoragePresentationContexts, _config, evt, register_uid
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.service_class import StorageServiceClass
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from pynetdicom.transport import ThreadedAssociationServer

from dicom_ai.errors import SettingsError
from dicom_ai.instance import US_IMAGE_RETIRED, US_MULTI_FRAME_RETIRED

_RETIRED = {
    "UltrasoundImageStorageRetired": US_IMAGE_RETIRED,
    "UltrasoundMultiframeImageStorageRetired": US_MULTI_FRAME_RETIRED,
}
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_STATUS_OF = re.compile(r"(?P<status>(0[xX])?[0-9A-Fa-f]{4}):(?P<sop_class>[0-9]+(\.[0-9]+)*)")
_MAX_PDU = 131072
_POLL_S = 0.02
_config.LOG_HANDLER_LEVEL = "none"  # no texts of messages are built for a log that drops them


@dataclass(frozen=True)
class Manners:
    """How the PACS behaves; the default is well.

    Attributes:
        slow_s: seconds before each response.
        refused: SOP classes that are not accepted.
        status: DIMSE status of every response; None: success. A failure keeps nothing.
        vanish_s: seconds after the start at which it stops listening and drops every association.
        lose: answer success and keep nothing.
        statuses: SOP class -> DIMSE status of the responses to objects of that class.
    """

    slow_s: float = 0.0
    refused: frozenset[str] = frozenset()
    status: int | None = None
    vanish_s: float | None = None
    lose: bool = False
    statuses: Mapping[str, int] = field(default_factory=dict)


def parse_manners(texts: Sequence[str]) -> Manners:
    """Read manners as people write them.

    They are `slow:MS`, `refuse:SOPCLASS` (repeatable), `status:HEX` for all objects, `status:HEX:SOPCLASS` for those of
    one class (repeatable), `vanish:S` and `lose`.

    Raises:
        SettingsError: a word is unknown or its number cannot be read.

    Examples:
        >>> parse_manners(["slow:250", "status:A700"])
        Manners(slow_s=0.25, refused=frozenset(), status=42752, vanish_s=None, lose=False, statuses={})
    """
    read: dict[str, Any] = {}
    refused: set[str] = set()
    statuses: dict[str, int] = {}
    for text in texts:
        word, _, value = text.partition(":")
        try:
            match word:
                case "slow":
                    read["slow_s"] = _seconds(value) / 1000
                case "refuse" if _UID.fullmatch(value):
                    refused.add(value)
                case "status" if re.fullmatch(r"(0[xX])?[0-9A-Fa-f]{4}", value):
                    read["status"] = int(value, 16)
                case "status" if (parts := _STATUS_OF.fullmatch(value)) is not None:
                    statuses[parts["sop_class"]] = int(parts["status"], 16)
                case "vanish":
                    read["vanish_s"] = _seconds(value)
                case "lose" if not value:
                    read["lose"] = True
                case _:
                    raise ValueError(text)
        except ValueError as exc:
            raise SettingsError(
                f"{text!r} is no manner; there are slow:MS, refuse:SOPCLASS, status:HEX (four digits), "
                "status:HEX:SOPCLASS, vanish:S, lose"
            ) from exc
    return Manners(refused=frozenset(refused), statuses=statuses, **read)


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        raise ValueError(text)
    return float(text)


class PromptServer(ThreadedAssociationServer):
    """A listener that is gone some milliseconds after it was told to; the library's takes half a second."""

    def shutdown(self) -> None:
        """Stop listening; open associations go on."""
        BaseServer.shutdown(self)
        self.server_close()


def listen(entity: AE, address: tuple[str, int], handlers: list[evt.EventHandlerType]) -> PromptServer:
    """Start a listener in a thread of its own."""
    server = cast(PromptServer, entity.make_server(address, evt_handlers=handlers, server_class=PromptServer))
    threading.Thread(target=server.serve_forever, args=(_POLL_S,), name="pacs", daemon=True).start()
    return server


class SimulatedPacs:
    """A storage SCP that writes `OUT/<hash of the study>/<SOP Instance UID>.dcm` and tells of every object.

    The same UID with other bytes is kept beside the first one, so that a test can see it.
    """

    def __init__(
        self,
        out: Path,
        *,
        clock: Callable[[], datetime],
        manners: Manners | None = None,
        tell: Callable[[dict[str, Any]], None] = lambda _row: None,
        ae_title: str = "PACS",
    ) -> None:
        """Prepare; `start` listens.

        Args:
            out: folder for the objects; made when absent.
            clock: gives the aware time put into the rows.
            manners: how to behave.
            tell: called once per object, from the thread of its association, with the row of `simulate pacs`:
                sop_uid, sop_class, study (UID), status ("0xNNNN", as answered), bytes and digest (SHA-256) of
                the data set, at.
            ae_title: ours; any called AE title is accepted.
        """
        self._out, self._clock, self._tell = out, clock, tell
        self._manners = manners or Manners()
        self._ae_title = ae_title
        self._writing = threading.Lock()
        self._server: PromptServer | None = None
        self._is_gone = False
        self._timer: threading.Timer | None = None

    def start(self, port: int = 0, host: str = "127.0.0.1") -> int:
        """Listen; port 0 takes a free one.

        Returns:
            The bound port.
        """
        self._out.mkdir(parents=True, exist_ok=True)
        self._is_gone = False
        handlers: list[evt.EventHandlerType] = [
            (evt.EVT_CONN_OPEN, _without_delay),
            (evt.EVT_C_STORE, self._store),
        ]
        self._server = listen(self._entity(), (host, port), handlers)
        if self._manners.vanish_s is not None:
            self._timer = threading.Timer(self._manners.vanish_s, self._vanish)
            self._timer.daemon = True
            self._timer.start()
        return int(self._server.server_address[1])

    def stop(self) -> None:
        """Stop listening and drop open associations."""
        if self._timer is not None:
            self._timer.cancel()
        self._vanish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _entity(self) -> AE:
        entity = AE(self._ae_title)
        entity.maximum_pdu_size = _MAX_PDU
        entity.maximum_associations = 32
        entity.add_supported_context(Verification)
        for keyword, uid in _RETIRED.items():
            register_uid(uid, keyword, StorageServiceClass)
        classes = [str(context.abstract_syntax) for context in AllStoragePresentationContexts]
        for uid in sorted({*classes, *_RETIRED.values()} - self._manners.refused):
            entity.add_supported_context(uid, AllTransferSyntaxes)
        return entity

    def _vanish(self) -> None:
        server, self._server = self._server, None
        self._is_gone = True
        if server is None:
            return
        open_now = server.active_associations
        server.shutdown()
        for association in {*open_now, *server.active_associations}:
            _drop(association)

    def _store(self, event: evt.Event) -> int:
        time.sleep(self._manners.slow_s)
        if self._is_gone:
            return 0x0110  # to nobody: the connection is cut, and what has no power writes nothing
        dataset = event.encoded_dataset(include_meta=False)
        syntax = str(event.context.transfer_syntax)
        request = cast(C_STORE, event.request)
        status = self._manners.statuses.get(str(request.AffectedSOPClassUID), self._manners.status or 0x0000)
        uid, study = str(request.AffectedSOPInstanceUID), _study(event.encoded_dataset())
        digest = hashlib.sha256(dataset + syntax.encode()).hexdigest()
        is_kept = (status == 0x0000 or 0xB000 <= status <= 0xBFFF) and not self._manners.lose
        if is_kept:
            self._keep(_name(uid), study, digest, event.encoded_dataset())
        self._tell(
            {
                "sop_uid": uid,
                "sop_class": str(request.AffectedSOPClassUID),
                "study": study,
                "status": f"0x{status:04X}",
                "kept": is_kept,
                "bytes": len(dataset),
                "digest": digest,
                "at": self._clock().isoformat(),
            }
        )
        return status

    def _keep(self, name: str, study: str, digest: str, content: bytes) -> None:
        folder = self._out / _short_hash(study)
        with self._writing:  # two associations may bring the same object
            folder.mkdir(exist_ok=True)
            path = folder / f"{name}.dcm"
            if path.exists() and path.read_bytes() != content:
                path = folder / f"{name}.{digest[:8]}.dcm"
            part = path.with_suffix(".part")
            part.write_bytes(content)
            part.replace(path)


def _name(uid: str) -> str:
    """A file name from what the peer called the object: never anything but digits and dots."""
    return uid if len(uid) <= 64 and _UID.fullmatch(uid) else _short_hash(uid)


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _study(content: bytes) -> str:
    try:
        header = dcmread(BytesIO(content), stop_before_pixels=True, specific_tags=["StudyInstanceUID"])
    except (InvalidDicomError, AttributeError, ValueError, EOFError, KeyError, NotImplementedError, RecursionError):
        return ""
    return str(header.get("StudyInstanceUID", "")).strip(" \0")


def _without_delay(event: evt.Event) -> None:
    if (connection := _connection(event.assoc)) is not None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _connection(association: Association) -> socket.socket | None:
    return association.dul.socket.socket if association.dul.socket is not None else None


def _drop(association: Association) -> None:
    """End a connection as a pulled plug does: no A-ABORT, no A-RELEASE."""
    if (connection := _connection(association)) is None:
        return
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the peer was faster
