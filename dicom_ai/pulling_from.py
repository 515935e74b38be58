"""Where studies are pulled from: an archive by C-GET, by C-MOVE to a receiver of ours, by DICOMweb, or a folder.

The receiver is the service's own, with another end: what arrives is held against the study that was asked for last.
"""

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.dataset import Dataset

from dicom_ai.archive.contents import Series
from dicom_ai.archive.dimse import Dimse, terms_of
from dicom_ai.archive.folder import Folder
from dicom_ai.archive.source import Source, Take
from dicom_ai.deliver.address import Address
from dicom_ai.errors import DicomAIError, InputError, PeerUnreachable
from dicom_ai.headers import header
from dicom_ai.ports import Receipt, Spooled
from dicom_ai.pulling_intake import Intake
from dicom_ai.receive.acceptor import PynetdicomAcceptor
from dicom_ai.receive.tables import TRANSFER_SYNTAXES, US_CLASSES, Accepted
from dicom_ai.settings import Deliver, Receive

GRACE_S = 5.0
"""Seconds without an object after which nothing more is waited for that an archive said it has sent."""

_POLL_S = 0.05
_NOT_ASKED = 0xA900  # data set does not match, PS3.4 B.2.3
_DRAIN_S = 2.0


@dataclass(frozen=True)
class Origin:
    """An archive or a folder; one of `archive`, `dicomweb` and `folder`.

    Attributes:
        archive: by DIMSE.
        receiver: with `archive`: our AE title, address and port for C-MOVE; None for C-GET.
        sender: with `receiver`: AE title that calls us, where it is not the archive's own.
        dicomweb: URL of a service.
        authorization: value of the HTTP header for it.
        folder: of DICOM files.
    """

    archive: Address | None = None
    receiver: Address | None = None
    sender: str = ""
    dicomweb: str = ""
    authorization: str = field(default="", repr=False)
    folder: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what names no place, or two.

        Raises:
            ValueError: that.
        """
        if sum(bool(one) for one in (self.archive, self.dicomweb, self.folder)) != 1:
            raise ValueError("name one place to pull from: --from AE@HOST:PORT, --dicomweb URL or --folder DIR")
        if (self.receiver and not self.archive) or (self.sender and not self.receiver):
            raise ValueError("--move belongs to --from, and --sender to --move")
        if self.authorization and not self.dicomweb:
            raise ValueError("--authorization belongs to --dicomweb")

    def question(self) -> str:
        """By which a later run knows that it asks the same archive; how it is asked may change."""
        return str(self.archive or self.dicomweb.rstrip("/") or (self.folder or Path()).resolve())


@contextmanager
def opened(origin: Origin, intake: Intake, deliver: Deliver, receive: Receive) -> Iterator[Source]:
    """The place as something that can be asked; its receiver listens meanwhile.

    Args:
        origin: the place.
        intake: takes what arrives at the receiver.
        deliver: our AE title when we call, and the time limits.
        receive: largest object, and the limits of the receiver.

    Raises:
        ResourceError: the receiver cannot listen.
        ValueError: the URL cannot be used.
        PeerUnreachable: the archive's name does not resolve.
    """
    longest = receive.max_object_mib << 20
    if origin.folder is not None:
        yield Folder(origin.folder, _read)
    elif origin.archive is None:
        yield from _web(origin, longest, deliver)
    elif origin.receiver is None:
        with _rested(Dimse(origin.archive, deliver, terms_of(TRANSFER_SYNTAXES, longest))) as source:
            yield source
    else:
        move_to = origin.receiver.ae_title
        dimse = Dimse(origin.archive, deliver, terms_of(TRANSFER_SYNTAXES, longest), move_to=move_to)
        with _receiver(origin, intake, receive) as arrived, _rested(dimse):
            yield _Moved(dimse, intake, arrived)


def _web(origin: Origin, longest: int, deliver: Deliver) -> Iterator[Source]:
    try:
        from dicom_ai.archive.dicomweb import Dicomweb
    except ImportError as exc:
        raise ValueError("DICOMweb needs the package dicomweb-client: install dicom-ai[train]") from exc
    web = Dicomweb(
        origin.dicomweb, longest=longest, timeout_s=deliver.response_timeout_s, authorization=origin.authorization
    )
    with _rested(web) as source:
        yield source


@contextmanager
def _rested(source: Source) -> Iterator[Source]:
    try:
        yield source
    finally:
        source.rest()


class _Arrivals:
    """What the receiver is told, and what went wrong there."""

    def __init__(self, intake: Intake) -> None:
        self._intake, self.last = intake, 0.0
        self.trouble: DicomAIError | None = None

    def keep(self, spooled: Sequence[Spooled]) -> list[Receipt]:
        """See `ports.Keep`."""
        return [self._one(one) for one in spooled]

    def _one(self, one: Spooled) -> Receipt:
        try:
            is_in = self._intake.file(one.path, one.digest, one.instance.sop_instance_uid)
        except DicomAIError as exc:
            self.trouble = exc
            return Receipt(exc.dimse_status, exc.reason)
        finally:
            self.last = time.monotonic()
        return Receipt(0) if is_in else Receipt(_NOT_ASKED, "sop_mismatch")

    def association_ended(self, association: str) -> None:
        """See `ports.Notices`."""

    def refused(self, association: str, status: int, reason: str) -> None:
        """See `ports.Notices`; what is refused by the header alone never reaches `keep`."""
        self.last = time.monotonic()


class _Moved:
    """C-MOVE: asked over one association, received over others, and waited for."""

    def __init__(self, dimse: Dimse, intake: Intake, arrivals: _Arrivals) -> None:
        self._dimse, self._intake, self._arrivals = dimse, intake, arrivals

    def find(self, asked: Dataset) -> Iterator[Dataset]:
        """See `pages.Asked`."""
        return self._dimse.find(asked)

    def rest(self) -> None:
        """See `source.Source`."""
        self._dimse.rest()

    def fetch(self, wanted: Series, take: Take, *, one_by_one: bool) -> None:
        """See `source.Source`; some archives say that they are done before they begin."""
        self._arrivals.last = time.monotonic()
        self._dimse.fetch(wanted, take, one_by_one=one_by_one)
        self._arrivals.last = max(self._arrivals.last, time.monotonic())
        while not set(wanted.images) <= self._intake.judged:
            if self._arrivals.trouble is not None:
                raise self._arrivals.trouble
            if time.monotonic() - self._arrivals.last > GRACE_S:
                return
            time.sleep(_POLL_S)


@contextmanager
def _receiver(origin: Origin, intake: Intake, receive: Receive) -> Iterator[_Arrivals]:
    assert origin.archive is not None  # noqa: S101 - for mypy; checked by Origin
    assert origin.receiver is not None  # noqa: S101
    ours, arrivals = origin.receiver, _Arrivals(intake)
    settings = receive.model_copy(update={"ae_title": ours.ae_title, "host": ours.host, "port": ours.port})
    authorise = _authorise(origin.archive, origin.sender or origin.archive.ae_title, ours.ae_title)
    acceptor = PynetdicomAcceptor(
        settings, _accepted, authorise=authorise, keep=arrivals.keep, notices=arrivals, spool=intake.files.new_spool
    )
    acceptor.start()
    try:
        yield arrivals
    finally:
        acceptor.drain(_DRAIN_S)


def _accepted() -> Accepted:
    return Accepted(US_CLASSES, TRANSFER_SYNTAXES)


def _authorise(archive: Address, sender: str, ours: str) -> Callable[[str, str, str], bool]:
    """Whoever is called as the archive is, calls us by our name and from where the archive is; nobody else."""
    try:
        addresses = {found[4][0] for found in socket.getaddrinfo(archive.host, archive.port, type=socket.SOCK_STREAM)}
    except OSError as exc:
        raise PeerUnreachable(f"{archive.host}: {exc.strerror}") from exc
    return lambda calling, called, address: calling == sender and called == ours and address in addresses


def _read(path: Path) -> Dataset | None:
    try:
        return header(path)
    except InputError:
        return None
