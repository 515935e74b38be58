"""A patient whose name, number, birth date and accession stand nowhere else: after a run they are where they belong.

They may stand in kept originals, in results and in the ledger's table `identity`, and nowhere else. For pixels there is
a proof without reading text: two studies that differ only in identity and burned-in text give the same captures, bit
for bit.
"""

import copy
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from io import BytesIO

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pixel_array
from pydicom.tag import Tag

from dicom_ai.deliver.address import Address
from dicom_ai.simulate.dataset import uid_of
from dicom_ai.simulate.exam import Exam, Shot, exam
from dicom_ai.simulate.patients import Patient
from dicom_ai.simulate.scanner import send_exams
from tests.e2e.pacs import Simulated
from tests.e2e.service import Service, service

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(280)]

SHOTS = (
    Shot(frozenset({"b_lines"})),
    Shot(frozenset({"consolidation"}), rgb=True),
    Shot(frozenset({"pleural_effusion"}), frames=8),
)
CANARY = Patient("Zebrafink^Kanarie", "CNRY7719", "19130217", "F", "ACCNRY42", "4711")
OTHER = Patient("Qwortel^Vliegen", "WQTX3308", "19570829", "F", "XXQWVT15", "4711")
TOKENS = re.compile(r"zebrafink|kanarie|cnry|1913-?02-?17|02/17/1913", re.IGNORECASE)
SEED = 77


@cache  # drawing takes longer than the service does
def drawn_for(patient: Patient) -> Exam:
    return exam("lung", seed=SEED, patient=patient, content=SHOTS)


def study(patient: Patient, name: str) -> Exam:
    """The same pictures for every patient; the name also stands inside the stated region, beside the scan."""
    drawn = copy.deepcopy(drawn_for(patient))
    for number, ds in enumerate(drawn, start=1):
        ds.StudyInstanceUID, ds.SeriesInstanceUID = uid_of("canary", name), uid_of("canary", name, "series")
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid_of("canary", name, number)
        if int(ds.get("NumberOfFrames", 1)) == 1:
            write_into_the_region(ds, patient.screen_name)
    return drawn


def write_into_the_region(ds: Dataset, text: str) -> None:
    """Burn text into the top left corner of the region, where no scan is."""
    pixels = pixel_array(ds).copy()
    region = ds.SequenceOfUltrasoundRegions[0]
    at = int(region.RegionLocationMinX0) + 20, int(region.RegionLocationMinY0) + 120
    cv2.putText(pixels, text[:12], at, cv2.FONT_HERSHEY_SIMPLEX, 0.6, (200, 200, 200), 1)
    ds.PixelData = pixels.tobytes()
    ds["PixelData"].VR = "OB"


def damaged() -> Iterator[Exam]:
    """Objects over which something stumbles, with the canary where a library would quote it."""
    values = {"PatientBirthDate": "DA", "StudyDate": "DA", "ContentTime": "TM", "PatientSize": "DS", "PatientAge": "AS"}
    for number, (keyword, vr) in enumerate(values.items(), start=1):
        ds = copy.deepcopy(study(CANARY, f"damaged {number}").objects[0])
        tag, raw = Tag(keyword), b"Zebrafink "
        ds[tag] = RawDataElement(tag, vr, len(raw), raw, 0, False, True)
        yield Exam((ds,), {})
    short = copy.deepcopy(study(CANARY, "short").objects[0])
    short.PixelData = short.PixelData[:1000]
    other = copy.deepcopy(short)  # the same UID with other bytes: a conflict
    other.PatientComments = "Zebrafink"
    yield Exam((short, other), {})


@dataclass(frozen=True)
class Ran:
    """What is left after a run, when the service has stopped."""

    service: Service
    statuses: list[str]
    files: list[bytes]

    def captures(self, name: str) -> list[Dataset]:
        """Captures of a study, in the order of its images."""
        found = [dcmread(BytesIO(content)) for content in self.files]
        ours = [
            ds
            for ds in found
            if ds.StudyInstanceUID == uid_of("canary", name) and ds.SOPClassUID.name.find("Capture") > 0
        ]
        return sorted(ours, key=lambda ds: int(ds.InstanceNumber))


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    folder = tmp_path_factory.mktemp("canary")
    exams = [study(CANARY, "a"), study(OTHER, "b"), *damaged()]
    with Simulated(folder / "pacs") as pacs:
        with service(folder / "service", pacs.target()) as one:
            to = Address("DICOM_AI", "127.0.0.1", one.port)
            statuses = [row["status"] for row in send_exams(exams, to)]
            one.wait_until(one.is_at_rest, 150, "everything to be answered and delivered")
        yield Ran(one, statuses, pacs.received())


def test_the_run_met_what_it_was_made_for(ran: Ran) -> None:
    """Otherwise the searches below prove nothing."""
    assert ran.service.select("SELECT count(*) FROM conflicts") == [(1,)]
    assert len(ran.captures("a")) >= len(SHOTS)
    (name,) = {
        name for (name,) in ran.service.select("SELECT patient_name FROM identity WHERE patient_id = 'CNRY7719'")
    }
    assert name == CANARY.name
    assert ran.service.select("SELECT count(*) FROM objects WHERE state = 'quarantined'") == [(1,)]


def test_no_log_line_names_the_patient(ran: Ran) -> None:
    log = ran.service.log.read_text()
    assert '"action": "report"' in log
    assert TOKENS.findall(log) == []


def test_no_file_name_names_the_patient(ran: Ran) -> None:
    names = [str(path.relative_to(ran.service.folder)) for path in ran.service.folder.rglob("*")]
    assert len(names) > 256
    assert [name for name in names if TOKENS.search(name)] == []


def test_only_the_store_and_the_ledger_hold_the_patient(ran: Ran) -> None:
    allowed = {"ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"}
    found = [
        str(path.relative_to(ran.service.folder))
        for path in ran.service.folder.rglob("*")
        if path.is_file()
        and path.parent.parent.name != "store"
        and path.name not in allowed
        and TOKENS.search(path.read_bytes().decode("latin-1"))
    ]
    assert found == []


def test_no_table_but_identity_holds_the_patient(ran: Ran) -> None:
    with closing(sqlite3.connect(ran.service.data / "ledger.sqlite")) as ledger:
        tables = [name for (name,) in ledger.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        assert {"identity", "objects", "workflow_status", "operation_outputs"} <= set(tables)
        found = {
            table
            for table in tables
            for row in ledger.execute(f'SELECT * FROM "{table}"')
            if TOKENS.search(" ".join(text_of(value) for value in row))
        }
    assert found == {"identity"}


def text_of(value: object) -> str:
    """A column's value as text, also what is inside bytes."""
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def test_identity_and_burned_in_text_change_no_pixel_of_a_capture(ran: Ran) -> None:
    for one, other in zip(study(CANARY, "a"), study(OTHER, "b"), strict=True):
        assert one.PixelData != other.PixelData
    ones, others = ran.captures("a"), ran.captures("b")
    assert len(ones) == len(others) > 0
    for one, other in zip(ones, others, strict=True):
        assert one.PixelData == other.PixelData


def test_beside_the_scan_a_capture_shows_nothing_of_its_source(ran: Ran) -> None:
    """Correlates what is lit in source and capture outside the drawn sector; the source with itself is the control."""
    drawn = study(CANARY, "a")
    for ds, truth, capture in zip(drawn, drawn.truth.values(), ran.captures("a"), strict=True):
        beside = ~cv2.dilate(truth.sector_mask.astype(np.uint8), np.ones((7, 7), np.uint8)).astype(bool)
        source, ours = (lit(pixel_array(one, index=0))[beside] for one in (ds, capture))
        assert np.count_nonzero(source) > 2000, "there is text to be found"
        assert np.count_nonzero(ours) > 2000, "our own text is there"
        assert correlation(source, source | ours) > 0.5, "text of the source would be seen"
        assert abs(correlation(source, ours)) < 0.15


def lit(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Where a frame is not black; lossy compression leaves some grey beside letters."""
    grey = pixels.max(axis=2) if pixels.ndim == 3 else pixels
    return np.asarray(grey > 48, np.bool_)


def correlation(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> float:
    """Of two masks, -1 to 1."""
    return float(np.corrcoef(one, other)[0, 1])
