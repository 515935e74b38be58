"""A scanner that asks for Storage Commitment after an exam and waits for the report on a port of its own.

Service: Storage Commitment Push Model as SCU, PS3.4 J.3. What this is not: a scanner that frees its disk.
"""

import queue
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel  # type: ignore[attr-defined]
from pynetdicom.transport import ThreadedAssociationServer

from dicom_ai.errors import PeerRefused, PeerUnreachable, ResourceError
from dicom_ai.ports import Node

PUSH_MODEL_INSTANCE = "1.2.840.10008.1.20.1.1"
_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Report:
    """What came back.

    Attributes:
        stored: SOP Instance UIDs that are kept.
        failed: SOP Instance UID -> Failure Reason.
        called_by: AE title of who reported.
    """

    transaction_uid: str
    event_type: int
    stored: tuple[str, ...]
    failed: dict[str, int]
    called_by: str


@dataclass
class Listener:
    """Takes reports; made by `listening`. `answer` is the status it gives to the next ones."""

    port: int = 0
    answer: int = 0x0000
    reports: "queue.Queue[Report]" = field(default_factory=queue.Queue)

    def take(self, event: evt.Event) -> tuple[int, None]:
        """Note a report and answer it."""
        information = event.event_information
        failed = {str(item.ReferencedSOPInstanceUID): int(item.FailureReason) for item in _items(information, "Failed")}
        stored = tuple(str(item.ReferencedSOPInstanceUID) for item in _items(information, "Referenced"))
        caller = event.assoc.requestor.ae_title.strip()
        uid, kind = str(information.TransactionUID), int(event.event_type or 0)
        self.reports.put(Report(uid, kind, stored, failed, caller))
        return self.answer, None

    def wait_for(self, transaction_uid: str, timeout_s: float) -> Report | None:
        """The report on a request; None when it does not come in time."""
        while True:
            try:
                report = self.reports.get(timeout=timeout_s)
            except queue.Empty:
                return None
            if report.transaction_uid == transaction_uid:
                return report


@contextmanager
def listening(ae_title: str, port: int = 0, *, host: str = "127.0.0.1") -> Iterator[Listener]:
    """Listen for reports; port 0 takes a free one.

    Raises:
        ResourceError: the port cannot be bound.
    """
    listener = Listener()
    ae = AE(ae_title=ae_title)
    ae.add_supported_context(StorageCommitmentPushModel, scu_role=False, scp_role=True)
    handlers: list[Any] = [(evt.EVT_N_EVENT_REPORT, listener.take)]
    try:
        server = ae.start_server((host, port), block=False, evt_handlers=handlers)
    except OSError as exc:
        raise ResourceError(f"cannot listen on {host}:{port}") from exc
    assert isinstance(server, ThreadedAssociationServer)  # noqa: S101 - what start_server gives without block
    listener.port = int(server.server_address[1])
    try:
        yield listener
    finally:
        server.shutdown()


def commit(listed: Sequence[tuple[str, str]], to: Node, calling: str, port: int) -> dict[str, Any]:
    """Ask for the commitment of what was sent and wait for the report.

    Args:
        listed: (SOP Class UID, SOP Instance UID) of each object.
        to: whom to ask.
        calling: our AE title.
        port: where we listen.

    Returns:
        {"transaction", "status", "stored", "failed"}: status is that of the response when it is a failure, "lost"
        without response or report, "failed" when the report names objects that are not kept, else "0x0000".
    """
    transaction_uid = f"2.25.{secrets.randbits(120)}"  # a name for this request, asked again or not, and of no object
    row = {"transaction": transaction_uid, "stored": 0, "failed": 0}
    with listening(calling, port) as listener:
        status = ask(to, calling, transaction_uid, listed)
        if status != 0:
            return row | {"status": "lost" if status is None else f"0x{status:04X}"}
        report = listener.wait_for(transaction_uid, _TIMEOUT_S)
    if report is None:
        return row | {"status": "lost"}
    counted = {"stored": len(report.stored), "failed": len(report.failed)}
    return row | counted | {"status": "failed" if report.failed else "0x0000"}


def ask(
    to: Node, calling: str, transaction_uid: str, listed: Sequence[tuple[str, str]], *, action: int = 1
) -> int | None:
    """Send one N-ACTION request over an association of its own.

    Args:
        to: whom to call.
        calling: our AE title.
        transaction_uid: our name for the request.
        listed: (SOP Class UID, SOP Instance UID) of what we sent.
        action: Action Type ID.

    Returns:
        Status of the response, None without one.

    Raises:
        PeerUnreachable: no association. PeerRefused: storage commitment is not offered.
    """
    information = Dataset()
    information.TransactionUID = transaction_uid
    information.ReferencedSOPSequence = [_reference(*one) for one in listed]
    return act(to, calling, information, action=action)


def act(
    to: Node, calling: str, information: Dataset | None, *, action: int = 1, instance: str = PUSH_MODEL_INSTANCE
) -> int | None:
    """The same with Action Information and instance as given, sound or not."""
    ae = AE(ae_title=calling)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = _TIMEOUT_S
    ae.add_requested_context(StorageCommitmentPushModel)
    association = ae.associate(to.host, to.port, ae_title=to.ae_title)
    if not association.is_established:
        if association.rejected_contexts:
            raise PeerRefused("storage commitment is not offered")
        raise PeerUnreachable("no association")
    try:
        status, _ = association.send_n_action(information, action, StorageCommitmentPushModel, instance)
        answered: int | None = status.get("Status")
        return answered
    finally:
        association.release()


def _reference(sop_class: str, uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
    return item


def _items(information: Dataset, which: str) -> Sequence[Dataset]:
    return information.get(f"{which}SOPSequence") or ()
