"""Ports: what the edges offer each other, as values and protocols. Each has a real part and a shipped fake."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dicom_ai.instance import Identity, Instance


def data_set_digest(data_set: bytes | memoryview, transfer_syntax_uid: str) -> str:
    """The digest that names an object everywhere.

    Args:
        data_set: encoded data set as received, without preamble and group 0002.
        transfer_syntax_uid: how it is encoded, without padding.

    Returns:
        SHA-256 of both, 64 hex digits.
    """
    digest = hashlib.sha256(data_set)
    digest.update(transfer_syntax_uid.encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class Spooled:
    """An object that lies complete, but not yet durable, in the spool.

    Attributes:
        path: Part 10 file in the spool folder, random name.
        digest: SHA-256 hex of the data set as received (without preamble and group 0002) + transfer syntax UID.
        size: bytes of the data set.
        association: our own id of the association it came over.
    """

    path: Path
    digest: str
    size: int
    instance: Instance
    identity: Identity
    calling_ae: str
    called_ae: str
    association: str


@dataclass(frozen=True)
class Receipt:
    """What became of one spooled object: the DIMSE status to answer and, if refused, the reason code."""

    status: int
    reason: str | None = None


Keep = Callable[[Sequence[Spooled]], Sequence[Receipt]]
"""Make objects durable: file, directory, ledger row and job; receipts in the order given. Never raises."""


@dataclass(frozen=True)
class CommitmentRequest:
    """A peer asks whether we take responsibility for what it sent (Storage Commitment Push Model, PS3.4 J.3).

    Attributes:
        calling_ae, called_ae: who asked, and the name it called us by.
        transaction_uid: the peer's name for the request.
        listed: (SOP Class UID, SOP Instance UID) of every object asked about, as written in the request; not empty.
    """

    calling_ae: str
    called_ae: str
    transaction_uid: str
    listed: tuple[tuple[str, str], ...]


Promise = Callable[[CommitmentRequest], None]
"""Write a request down durably, with the job that reports on it. Raises DicomAIError: it is not written down."""


@dataclass(frozen=True)
class StepMessage:
    """What a modality says of a performed procedure step (PS3.4 F.7).

    Attributes:
        peer: calling AE title.
        uid: SOP Instance UID of the step.
        state: "IN PROGRESS", "COMPLETED" or "DISCONTINUED"; "" leaves it as it is.
        listed: SOP Instance UIDs of what the step made, as far as this message says.
        is_new: an N-CREATE; else an N-SET.
    """

    peer: str
    uid: str
    state: str
    listed: tuple[str, ...]
    is_new: bool


Steps = Callable[[StepMessage], int]
"""Write a message down durably; the DIMSE status to answer. Raises DicomAIError: it is not written down."""

Authorise = Callable[[str, str, str], bool]
"""(calling AE, called AE, address) -> whether the association is accepted."""


class Notices(Protocol):
    """What the acceptor tells beside the objects themselves."""

    def association_ended(self, association: str) -> None:
        """The association is over, however it ended."""

    def refused(self, association: str, status: int, reason: str) -> None:
        """An object was answered with a failure."""


class Acceptor(Protocol):
    """A storage SCP. Built as `Acceptor(settings, tables, authorise, keep, notices)`."""

    def start(self) -> int:
        """Listen; return the bound port."""

    def drain(self, timeout_s: float) -> None:
        """Refuse new associations, let open ones finish for `timeout_s` seconds, then abort them."""


@dataclass(frozen=True)
class Job:
    """A durable job: which workflow, under which id (enqueuing an id twice runs it once), when, with what."""

    workflow: str
    id: str
    queue: str
    arguments: tuple[Any, ...]
    delay_s: float = 0.0
    partition: str | None = None


class Enqueue(Protocol):
    """Enqueue a job inside the caller's ledger transaction: both commit or neither."""

    def __call__(self, connection: Any, job: Job) -> None:
        """Write the job over `connection` (a SQLAlchemy connection with an open transaction)."""


class Node(Protocol):
    """What is needed to call a DICOM node; a destination of the site's tables is one, an `Address` is one."""

    @property
    def ae_title(self) -> str:
        """AE title to call."""

    @property
    def host(self) -> str:
        """Name or address."""

    @property
    def port(self) -> int:
        """TCP port."""
