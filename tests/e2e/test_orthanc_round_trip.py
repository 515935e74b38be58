"""A simulated LOGIQ E9 sends through the service to Debian's Orthanc; then Orthanc is asked what it holds.

One service and one Orthanc for all tests of this module; the studies are sent once.
"""

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, JPEGBaseline8Bit

from dicom_ai.deliver.address import Address
from dicom_ai.report.code import CLASSES
from dicom_ai.simulate.exam import Exam
from dicom_ai.simulate.scanner import make_exams, send_exams
from tests.e2e import promises
from tests.e2e.scanner import digest_sent, part10
from tests.e2e.service import Service, destination, service
from tests.e2e.validators import classes_of, errors_of, texts_of
from tests.peers import Orthanc, orthanc
from tests.stored import dataset_bytes, stored

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(280)]

ZONE = "Asia/Shanghai"
TASKS = ("lung-signs", "uterine-lesions")


@dataclass(frozen=True)
class Sent:
    """What was sent, and what the PACS held when the service had come to rest."""

    service: Service
    exams: dict[str, Exam]  # by task
    statuses: list[str]
    pacs: Orthanc
    files: list[bytes]

    def results(self, task: str) -> list[bytes]:
        """Files Orthanc holds of this task's study that the scanner did not send."""
        exam = self.exams[task]
        ours = {str(ds.SOPInstanceUID) for ds in exam}
        headers = [(content, dcmread(BytesIO(content), stop_before_pixels=True)) for content in self.files]
        return [
            content
            for content, ds in headers
            if ds.StudyInstanceUID == exam.study_instance_uid and str(ds.SOPInstanceUID) not in ours
        ]


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sent]:
    folder = tmp_path_factory.mktemp("round-trip")
    (folder / "orthanc").mkdir()
    exams = dict(
        zip(TASKS, [*make_exams("logiq-e9", "lung", 1, 5), *make_exams("logiq-e9", "uterus", 1, 5)], strict=True)
    )
    with orthanc(folder / "orthanc") as pacs:
        inline = destination("pacs", pacs.ae_title, pacs.port)
        with service(folder / "service", inline, DICOM_AI_SITE__TIMEZONE=ZONE) as one:
            to = Address("DICOM_AI", "127.0.0.1", one.port)
            statuses = [row["status"] for row in send_exams(exams.values(), to)]
            one.wait_until(one.is_at_rest, 150, "both studies to be answered and delivered")
            yield Sent(one, exams, statuses, pacs, pacs.received())


def test_every_object_is_acknowledged(sent: Sent) -> None:
    assert sent.statuses == ["0x0000"] * sum(map(len, sent.exams.values()))


def test_stills_and_a_jpeg_clip_were_sent(sent: Sent) -> None:
    lung = {(str(ds.file_meta.TransferSyntaxUID), int(ds.get("NumberOfFrames", 1)) > 1) for ds in sent.exams[TASKS[0]]}
    assert lung == {(str(ExplicitVRLittleEndian), False), (str(JPEGBaseline8Bit), True)}


def test_orthanc_holds_every_original_byte_for_byte_and_one_report_per_study(sent: Sent) -> None:
    acknowledged = {str(ds.SOPInstanceUID): digest_sent(ds) for exam in sent.exams.values() for ds in exam}
    promises.check(sent.service, acknowledged, sent.files)


def test_orthanc_reads_every_original_as_it_was_sent(sent: Sent) -> None:
    there: dict[str, Dataset] = {}
    for content in sent.files:
        ds = dcmread(BytesIO(content))
        there[str(ds.SOPInstanceUID)] = ds
    for exam in sent.exams.values():
        for ds in exam:
            assert there[str(ds.SOPInstanceUID)] == dcmread(BytesIO(part10(ds)))


@pytest.mark.parametrize("task", TASKS)
def test_report_and_captures_lie_in_the_study_of_the_patient(sent: Sent, task: str) -> None:
    headers = [dcmread(BytesIO(content), stop_before_pixels=True) for content in sent.results(task)]
    source = sent.exams[task].objects[0]
    assert len([ds for ds in headers if ds.Modality == "SR"]) == 1
    assert len(headers) - 1 >= len(sent.exams[task]), "a capture of every image"
    for ds in headers:
        for keyword in ("PatientName", "PatientID", "PatientBirthDate", "AccessionNumber", "StudyInstanceUID"):
            assert ds[keyword].value == source[keyword].value, keyword


@pytest.mark.parametrize("task", TASKS)
def test_results_tell_the_time_of_the_hospital(sent: Sent, task: str) -> None:
    ((made,),) = sent.service.select(
        'SELECT created_at FROM analyses JOIN sets ON analyses."set" = sets.id WHERE task = ?', task
    )
    there = datetime.fromisoformat(made).replace(tzinfo=UTC).astimezone(ZoneInfo(ZONE))
    for content in sent.results(task):
        ds = dcmread(BytesIO(content), stop_before_pixels=True)
        assert f"{ds.ContentDate} {ds.ContentTime}" == f"{there:%Y%m%d %H%M%S}"


@pytest.mark.parametrize("task", TASKS)
def test_dciodvfy_finds_no_error_in_any_result(sent: Sent, task: str, tmp_path: Path) -> None:
    found = {}
    for number, content in enumerate(sent.results(task)):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(content)
        found[number] = errors_of(path)
    assert len(found) > 1
    assert found == {number: [] for number in found}


@pytest.mark.parametrize("task", TASKS)
def test_the_text_of_the_report_shows_every_class_with_state_and_probability(
    sent: Sent, task: str, tmp_path: Path
) -> None:
    (content,) = (one for one in sent.results(task) if dcmread(BytesIO(one), stop_before_pixels=True).Modality == "SR")
    path = tmp_path / "sr.dcm"
    path.write_bytes(content)
    texts = texts_of(path)
    ((said,),) = sent.service.select(
        'SELECT content FROM analyses JOIN sets ON analyses."set" = sets.id WHERE task = ?', task
    )
    findings = json.loads(said)["findings"]
    assert [one["class_id"] for one in findings] == classes_of(task)
    for one in findings:
        terms, state, percent = CLASSES[one["class_id"]], one["state"], f"{100 * one['probability']:.2f}"
        assert re.search(rf'"{terms.finding.en}"\)=\(\d+,SCT,"{state}', texts["dsrdump"], re.IGNORECASE)
        assert re.search(rf"{terms.finding.en}: {state}", texts["dsr2html"], re.IGNORECASE)
        for text in texts.values():
            assert f"{terms.name('en')} {state}, probability {percent} %" in text


# The tests from here on send more and come last: what stands above them was read before.


def send(sent: Sent, *objects: Dataset) -> list[tuple[bytes, Dataset]]:
    """Send objects over one association, wait for the end of everything; give what is new in Orthanc."""
    one, before = sent.service, set(sent.pacs.instances())
    to = Address("DICOM_AI", "127.0.0.1", one.port)
    assert {row["status"] for row in send_exams([Exam(objects, {})], to)} == {"0x0000"}
    one.wait_until(one.is_at_rest, 60, "the late objects to be answered and delivered")
    fresh = [sent.pacs.download(number) for number in sent.pacs.instances() if number not in before]
    return [(content, dcmread(BytesIO(content), stop_before_pixels=True)) for content in fresh]


def test_a_late_still_makes_a_report_that_names_the_one_it_replaces(sent: Sent, tmp_path: Path) -> None:
    exam = sent.exams[TASKS[1]]
    (before,) = [ds for ds in map(header_of, sent.results(TASKS[1])) if ds.Modality == "SR"]
    late = copy.deepcopy(exam.objects[0])
    late.SOPInstanceUID = late.file_meta.MediaStorageSOPInstanceUID = f"{late.SOPInstanceUID[:-4]}.1"
    found = send(sent, late)
    assert str(late.SOPInstanceUID) in {str(ds.SOPInstanceUID) for _, ds in found}
    ((content, report),) = [(content, ds) for content, ds in found if ds.Modality == "SR"]
    (replaced,) = report.PredecessorDocumentsSequence
    (named,) = (item for series in replaced.ReferencedSeriesSequence for item in series.ReferencedSOPSequence)
    assert replaced.StudyInstanceUID == exam.study_instance_uid
    assert named.ReferencedSOPInstanceUID == before.SOPInstanceUID
    path = tmp_path / "sr.dcm"
    path.write_bytes(content)
    assert errors_of(path) == []
    assert "Images analysed: 4 of 4" in texts_of(path)["dsrdump"], "a revision is over all objects of the study"


def test_our_own_results_come_back_and_nothing_is_made_of_them(sent: Sent) -> None:
    """A PACS that routes everything it holds sends our results back as well: the loop ends here."""
    ours = [dcmread(BytesIO(content)) for task in TASKS for content in sent.results(task)]
    assert {ds.Modality for ds in ours} == {"SR", "OT"}

    def made() -> list[tuple]:
        return sent.service.select("SELECT (SELECT count(*) FROM analyses), (SELECT count(*) FROM sets)")

    before = made()
    assert send(sent, *ours) == [], "Orthanc holds nothing that it did not hold"
    assert made() == before
    states = sent.service.select("SELECT DISTINCT state, reason FROM objects WHERE reason IS NOT NULL")
    kept = {uid for (uid,) in sent.service.select("SELECT sop_uid FROM objects WHERE state = 'forwarded-only'")}
    assert {str(ds.SOPInstanceUID) for ds in ours} <= kept
    assert {reason for _, reason in states} <= {"own_result", "not_ultrasound"}


def test_an_object_of_another_class_is_forwarded_and_never_analysed(sent: Sent, tmp_path: Path) -> None:
    scan = stored(tmp_path, 1, sop_class=CTImageStorage, study=9)
    ((content, ds),) = send(sent, dcmread(scan.path))
    assert ds.SOPClassUID == CTImageStorage
    assert dataset_bytes(content) == scan.dataset
    assert sent.service.select("SELECT state, reason FROM objects WHERE sop_uid = ?", scan.uid) == [
        ("forwarded-only", "not_ultrasound")
    ]


def header_of(content: bytes) -> Dataset:
    """The data set without pixels."""
    return dcmread(BytesIO(content), stop_before_pixels=True)
