"""The storage SCP on pynetdicom: C-ECHO and C-STORE; from bytes on a socket to spooled objects and truthful answers.

Objects are written to the spool with a preamble and File Meta Information of our own; the data set stays as it came.
An object that breaks off leaves nothing behind, because nothing is written before it is complete. What this is not:
durable (that is `keep`), and no place where an attribute of a data set becomes a name.
"""

import errno
import logging
import os
import secrets
import socketserver
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, cast

from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import PYDICOM_IMPLEMENTATION_UID, UID
from pynetdicom import AE, _config, evt, register_uid
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.service_class import StorageServiceClass
from pynetdicom.transport import ThreadedAssociationServer

from dicom_ai.errors import DicomAIError, ObjectTooLarge, OutOfSpace, ResourceError, UnreadableInstance, WrongKind
from dicom_ai.instance import US_IMAGE_RETIRED, US_MULTI_FRAME_RETIRED, Identity, Instance
from dicom_ai.log import get_logger
from dicom_ai.ports import Authorise, Keep, Notices, Spooled, data_set_digest
from dicom_ai.receive.bounded import bind, require_size
from dicom_ai.receive.connection import Connection
from dicom_ai.receive.scan import require_match, scan
from dicom_ai.receive.tables import Accepted
from dicom_ai.settings import Receive

VERIFICATION = "1.2.840.10008.1.1"

_SUCCESS = 0x0000
# A-ASSOCIATE-RJ, PS3.8 9.3.4: result, source, reason
_CALLING_UNKNOWN = 0x01, 0x01, 0x03  # permanent; by the user; calling AE title not recognised
_NOT_NOW = 0x02, 0x03, 0x01  # transient; by the provider; temporary congestion
_ABORT_S = 1.0  # an aborted association that stores at this moment is waited for this long


class Service(Protocol):
    """What may be offered beside storage."""

    def contexts(self) -> list[PresentationContext]:
        """What is negotiated."""

    def handlers(self) -> list[evt.EventHandlerType]:
        """What pynetdicom calls."""


class PynetdicomAcceptor:
    """Storage SCP; see `ports.Acceptor`."""

    def __init__(
        self,
        settings: Receive,
        tables: Callable[[], Accepted],
        *,
        authorise: Authorise,
        keep: Keep,
        notices: Notices,
        spool: Callable[[], Path],
    ) -> None:
        """Take the parts; nothing listens yet.

        Args:
            settings: section `receive`.
            tables: what is accepted at this moment; asked at every association.
            authorise: whom to accept.
            keep: makes spooled objects durable.
            notices: told when an association that stored is over, and of refusals.
            spool: a fresh path in the spool; raises OutOfSpace when no object should be begun.
        """
        self._settings, self._tables = settings, tables
        self._authorise, self._keep, self._notices, self._spool = authorise, keep, notices, spool
        self._contexts: dict[Accepted, list[PresentationContext]] = {}
        self._associations: dict[Association, str] = {}
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self._beside: list[Service] = []

    def offer(self, service: Service) -> None:
        """Offer a service beside storage; before `start`."""
        self._beside.append(service)

    def start(self) -> int:
        """Listen; return the bound port.

        Raises:
            ResourceError: the address cannot be bound.
        """
        _config.LOG_HANDLER_LEVEL = "none"  # its handlers would log data sets and AE titles
        logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
        for uid, keyword in ((US_IMAGE_RETIRED, "USImageRetired"), (US_MULTI_FRAME_RETIRED, "USMultiFrameRetired")):
            register_uid(uid, keyword, StorageServiceClass)
        ae = AE(ae_title=self._settings.ae_title)
        ae.require_called_aet = True
        ae.maximum_pdu_size = self._settings.max_pdu_bytes
        ae.maximum_associations = self._settings.max_associations
        ae.network_timeout = self._settings.idle_timeout_s
        ae.add_supported_context(VERIFICATION)
        try:
            server = ae.make_server(
                (self._settings.host, self._settings.port),
                evt_handlers=[
                    (evt.EVT_REQUESTED, self._requested),
                    (evt.EVT_C_STORE, self._store),
                    *(handler for service in self._beside for handler in service.handlers()),
                ],
                server_class=_Server,
                request_handler=Connection,
                reap=self._reap,
            )
        except OSError as exc:
            where = f"{self._settings.host}:{self._settings.port}"
            raise ResourceError(f"cannot listen on {where} ({errno.errorcode.get(exc.errno or 0)})") from exc
        self._server = cast(_Server, server)
        threading.Thread(target=server.serve_forever, name="receive", daemon=True).start()
        return int(server.server_address[1])

    def drain(self, timeout_s: float) -> None:
        """Refuse new associations, let open ones finish for `timeout_s` seconds, then abort them."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close_door()
        until = time.monotonic() + timeout_s
        for association in server.active_associations:
            association.join(timeout=max(0.0, until - time.monotonic()))
        for association in server.active_associations:
            association.abort()
            association.join(timeout=_ABORT_S)
        self._reap()

    def _requested(self, event: evt.Event) -> None:
        """Accept or reject the association; a failing check rejects for now, which says nothing about the caller."""
        association = event.assoc
        requestor = association.requestor
        bind(association, self._settings.max_object_mib << 20, lambda: self._overflowed(association))
        rejection: tuple[int, int, int] | None = _NOT_NOW
        try:
            asked = cast(A_ASSOCIATE, requestor.primitive)
            association.acceptor.supported_contexts = self._offered()
            is_welcome = self._authorise(
                asked.calling_ae_title.strip(), asked.called_ae_title.strip(), requestor.address
            )
            rejection = None if is_welcome else _CALLING_UNKNOWN
        finally:
            if rejection is not None:
                association.acse.send_reject(*rejection)
                association.kill()  # waits until the rejection is sent; the socket is closed after this handler

    def _offered(self) -> list[PresentationContext]:
        accepted = self._tables()
        if accepted not in self._contexts:
            syntaxes: list[str | UID] = list(accepted.transfer_syntaxes)
            self._contexts[accepted] = [
                build_context(VERIFICATION),
                *(context for service in self._beside for context in service.contexts()),
                *(build_context(storage_class, syntaxes) for storage_class in accepted.storage_classes),
            ]
        return self._contexts[accepted]

    def _store(self, event: evt.Event) -> int:
        """Answer one C-STORE request with the status that is true."""
        association = self._association_id(event.assoc)
        try:
            spooled = self._spooled(event, association)
            receipt = self._keep([spooled])[0]
            status, reason = receipt.status, receipt.reason
        except DicomAIError as exc:
            status, reason = exc.dimse_status, exc.reason
        except OSError as exc:
            kind = OutOfSpace if exc.errno in {errno.ENOSPC, errno.EDQUOT} else ResourceError
            status, reason = kind.dimse_status, kind.reason
        except Exception as exc:  # noqa: BLE001 - whatever the peer sent, it gets an answer and the next object its chance
            status, reason = DicomAIError.dimse_status, None
            get_logger().error("fault while receiving", action="receive", error=type(exc).__name__)
        if status != _SUCCESS:
            self._notices.refused(association, status, reason or "")
        return status

    def _spooled(self, event: evt.Event, association: str) -> Spooled:
        request, context = cast(C_STORE, event.request), event.context
        if request.DataSet is None:
            raise UnreadableInstance("no data set")
        with request.DataSet.getbuffer() as data_set:
            require_size(len(data_set), self._settings.max_object_mib << 20)
            syntax = str(context.transfer_syntax)
            header = scan(data_set, syntax)
            require_match(header, str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID))
            if context.abstract_syntax != header.SOPClassUID:
                raise WrongKind
            path = self._spool()
            instance = Instance.of(header, syntax)
            _write(path, file_head(instance), data_set)
            requestor = event.assoc.requestor
            return Spooled(
                path=path,
                digest=data_set_digest(data_set, syntax),
                size=len(data_set),
                instance=instance,
                identity=Identity.of(header),
                calling_ae=requestor.ae_title.strip(),
                called_ae=cast(A_ASSOCIATE, requestor.primitive).called_ae_title.strip(),
                association=association,
            )

    def _overflowed(self, association: Association) -> None:
        """A message does not end: the association is aborted, which the peer is told by A-ABORT alone."""
        association_id, error = self._association_id(association), ObjectTooLarge
        get_logger().warning("aborted", action="receive", association=association_id, reason=error.reason)
        self._notices.refused(association_id, error.dimse_status, error.reason)

    def _association_id(self, association: Association) -> str:
        with self._lock:
            return self._associations.setdefault(association, secrets.token_hex(16))

    def _reap(self) -> None:
        """Tell of associations whose thread is over, however it ended; none of their objects can still be kept."""
        with self._lock:
            over = [association for association in self._associations if not association.is_alive()]
            ids = [self._associations.pop(association) for association in over]
        for association_id in ids:
            self._notices.association_ended(association_id)


class _Server(ThreadedAssociationServer):
    """Looks after ended associations between two connections."""

    def __init__(self, *args: Any, reap: Callable[[], None], **kwargs: Any) -> None:
        self._reap = reap
        super().__init__(*args, **kwargs)

    def service_actions(self) -> None:
        super().service_actions()
        self._reap()

    def close_door(self) -> None:
        """Stop listening; open associations go on."""
        socketserver.BaseServer.shutdown(self)  # pynetdicom's own also expects to be in a list of the AE
        self.server_close()


def file_head(instance: Instance) -> bytes:
    """Preamble (zero) and File Meta Information of ours for an object."""
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = UID(instance.sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(instance.sop_instance_uid)
    meta.TransferSyntaxUID = UID(instance.transfer_syntax_uid)
    meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
    meta.ImplementationVersionName = "DICOM_AI"
    head = DicomBytesIO()
    head.is_little_endian, head.is_implicit_VR = True, False
    write_file_meta_info(head, meta)
    return b"\0" * 128 + b"DICM" + head.getvalue()


def _write(path: Path, head: bytes, data_set: memoryview) -> None:
    """Write a Part 10 file, readable by us alone; half a file is removed."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=0) as file:
            file.write(head)
            rest = data_set
            while rest:
                rest = rest[file.write(rest) :]
    except OSError:
        path.unlink(missing_ok=True)
        raise
