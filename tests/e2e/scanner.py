"""A scanner that repeats what was not acknowledged, and what it remembers: the bytes of every acknowledged object.

The pictures are drawn once and given to many invented patients, because drawing takes longer than the service does.
What this is not: the simulated scanner of the product, which repeats nothing.
"""

import copy
import threading
import time
from collections.abc import Iterator, Sequence
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite
from pynetdicom.dsutils import encode

from dicom_ai.deliver.address import Address
from dicom_ai.errors import PeerError
from dicom_ai.ports import data_set_digest
from dicom_ai.simulate.dataset import uid_of
from dicom_ai.simulate.exam import Exam, Shot, exam
from dicom_ai.simulate.patients import patient_of
from dicom_ai.simulate.scanner import send_exams

LUNG = (Shot(frozenset({"b_lines"})), Shot(frozenset()))
LUNG_WITH_CLIP = (*LUNG, Shot(frozenset({"pleural_effusion"}), frames=8))


def studies(count: int, *, content: Sequence[Shot] = LUNG, seed: int = 1) -> list[Exam]:
    """Lung studies of `count` patients with the same pictures."""
    first = exam("lung", seed=seed, patient=patient_of(seed), content=content)
    return [first, *(_of_another(first, seed + number) for number in range(1, count))]


def _of_another(one: Exam, seed: int) -> Exam:
    patient = patient_of(seed)
    made = []
    for number, source in enumerate(one, start=1):
        ds = copy.deepcopy(source)
        ds.PatientName, ds.PatientID, ds.PatientBirthDate = patient.name, patient.id, patient.birth_date
        ds.AccessionNumber = patient.accession
        ds.StudyInstanceUID, ds.SeriesInstanceUID = uid_of("study", "copy", seed), uid_of("series", "copy", seed)
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid_of("instance", "copy", seed, number)
        made.append(ds)
    return Exam(tuple(made), {})


def digest_sent(ds: Dataset) -> str:
    """Digest of the bytes that go over the wire, and the transfer syntax."""
    syntax = ds.file_meta.TransferSyntaxUID
    encoded = encode(ds, syntax.is_implicit_VR, syntax.is_little_endian)
    assert encoded is not None
    return data_set_digest(encoded, str(syntax))


def part10(ds: Dataset) -> bytes:
    """A Part 10 file of a data set that was drawn."""
    buffer = BytesIO()
    dcmwrite(buffer, ds, enforce_file_format=True)
    return buffer.getvalue()


class PatientScanner:
    """Sends studies one after another until every object was answered with success, whatever happens to the service."""

    def __init__(self, exams: Sequence[Exam], port: int, *, limit_s: float, rate: float = 0.0) -> None:
        """Prepare.

        Args:
            exams: to send, in this order.
            port: of the service.
            limit_s: when the last object must have been acknowledged.
            rate: objects per second; 0: as fast as it goes.
        """
        self._exams, self._to = list(exams), Address("DICOM_AI", "127.0.0.1", port)
        self._limit_s, self._rate = limit_s, rate
        self._thread = threading.Thread(target=self._run, name="scanner", daemon=True)
        self.acknowledged: dict[str, str] = {}  # SOP Instance UID -> digest of what was sent
        self.statuses: list[str] = []
        self.repeats = 0

    def start(self) -> None:
        """Begin to send, in a thread."""
        self._thread.start()

    def wait(self) -> None:
        """Wait for the end, and fail if something was never acknowledged."""
        self._thread.join(self._limit_s + 10)
        wanted = {str(ds.SOPInstanceUID) for one in self._exams for ds in one}
        missing = wanted - set(self.acknowledged)
        assert not missing, f"{len(missing)} of {len(wanted)} never acknowledged; statuses {self.statuses[-10:]}"

    @property
    def is_over(self) -> bool:
        """Whether it has ended, one way or the other."""
        return not self._thread.is_alive()

    def _run(self) -> None:
        deadline = time.monotonic() + self._limit_s
        for one in self._exams:
            while (left := self._left(one)) and time.monotonic() < deadline:
                try:
                    for row, ds in self._send(left):
                        self.statuses.append(row["status"])
                        if row["status"] == "0x0000":
                            self.acknowledged[row["sop_uid"]] = digest_sent(ds)
                except PeerError as exc:
                    self.statuses.append(type(exc).__name__)
                if self._left(one):
                    self.repeats += 1
                    time.sleep(0.5)

    def _left(self, one: Exam) -> list[Dataset]:
        return [ds for ds in one if str(ds.SOPInstanceUID) not in self.acknowledged]

    def _send(self, left: Sequence[Dataset]) -> Iterator[tuple[dict[str, str], Dataset]]:
        rows = send_exams([Exam(tuple(left), {})], self._to, rate=self._rate)
        return zip(rows, left, strict=False)  # an association that drops answers for fewer
