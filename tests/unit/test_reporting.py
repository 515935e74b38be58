"""From a case to pictures and content: the scanner's order, one capture per class shown, what was left out."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from dicom_ai.analysis import Analyst, Case, Examined, Style
from dicom_ai.classify.catalogue import Installed, active, installed
from dicom_ai.crop.cropper import Cropper
from dicom_ai.errors import UnreadableInstance
from dicom_ai.headers import header
from dicom_ai.instance import Instance
from dicom_ai.report.content import ReportContent
from dicom_ai.report.header import part10
from dicom_ai.reporting import Picture, Reporter
from dicom_ai.simulate.exam import FIRST_DAY, Exam, Shot, exam
from dicom_ai.simulate.patients import patient_of
from dicom_ai.store.analyses import outcome_digest
from dicom_ai.store.files import part10_digest
from tests.workplace import SITE, classifier, lung, small_cropper, tiny

torch.set_num_threads(1)
STILL = Shot(frozenset({"b_lines"}))


@dataclass
class Told:
    """What a reporter made of a study."""

    pictures: list[Picture]
    content: ReportContent
    key: str


class Reporting:
    """Reports drawn studies with a model, pixel by pixel as the service does."""

    def __init__(self, folder: Path, cropper: Cropper, model: Installed) -> None:
        self._folder, self._model = folder, model
        self._analyst = Analyst(cropper, classifier, [model], site=SITE, station="TEST", style=Style())

    def __call__(self, study: Exam, revision: int = 1) -> Told:
        name = self._model.card.digest
        members, pixels, paths = [], {}, {}
        for ds in study:
            content = part10(ds)
            digest = part10_digest(content)
            paths[digest] = self._folder / f"{digest}.dcm"
            paths[digest].write_bytes(content)
            outcome, kept = self._analyst.crop(paths[digest], name)
            scores = self._analyst.score(kept, name) if kept is not None else None
            pixels[digest] = (kept, scores.heat if scores else {})
            instance = Instance.of(ds, ds.file_meta.TransferSyntaxUID)
            frames = scores.frames if scores else ()
            members.append(Examined(digest, instance, outcome, outcome_digest(outcome), frames))
        case = Case("lung-signs", tuple(members), revision, FIRST_DAY)
        reporter = Reporter(self._analyst, case, name)
        pictures = list(reporter.pictures(lambda one: pixels[one.digest], paths.__getitem__))
        return Told(pictures, reporter.content(), reporter.key)


@pytest.fixture(scope="module")
def cropper() -> Iterator[Cropper]:
    with small_cropper() as one:
        yield one


@pytest.fixture
def report_with(tmp_path: Path, cropper: Cropper):
    def make(first: float, second: float, **changes: object) -> Reporting:
        return Reporting(tmp_path, cropper, tiny(tmp_path / "model", (first, second), **changes))

    return make


@pytest.fixture(scope="module")
def study() -> Exam:
    """A still, a clip and an object without regions, in the scanner's order."""
    made = lung(STILL, Shot(frozenset({"a_lines"}), frames=6), STILL)
    del made.objects[2].SequenceOfUltrasoundRegions
    return made


def test_content_says_every_image_in_the_order_of_the_case(report_with, study: Exam) -> None:
    told = report_with(0.01, 0.99)(study)
    still, clip, blind = study
    assert [one.sop_instance_uid for one in told.content.images] == [still.SOPInstanceUID, clip.SOPInstanceUID]
    assert [(one.sop_instance_uid, one.reason) for one in told.content.skipped] == [
        (blind.SOPInstanceUID, "no_regions")
    ]
    assert [(one.frames, one.analysed_frames) for one in told.content.images] == [(1, 1), (6, 3)]  # limit 4: every 2nd
    assert not told.content.is_complete
    assert ReportContent.from_json(told.content.to_json()) == told.content


@pytest.mark.parametrize(
    ("thresholds", "classes"),
    [
        ((0.01, 0.99), {"a_lines"}),
        ((0.01, 0.01), {"a_lines", "b_lines"}),
        ((0.99, 0.99), {None}),
    ],
    ids=["one sign", "two signs", "no sign"],
)
def test_one_capture_per_image_and_class_shown(report_with, study: Exam, thresholds, classes) -> None:
    told = report_with(*thresholds)(study)
    for image in told.content.images:
        assert {link.class_id for link in image.captures} == classes
        assert len(image.captures) == len(classes)
    linked = [link.reference.sop_instance_uid for image in told.content.images for link in image.captures]
    assert linked == [one.uid for one in told.pictures] == [one.ds.SOPInstanceUID for one in told.pictures]
    assert len(set(linked)) == 2 * len(classes)
    by_class = {finding.class_id: finding.state.value for finding in told.content.findings}
    assert {name for name, state in by_class.items() if state == "present"} == classes - {None}


def test_a_capture_of_a_clip_holds_the_frames_that_were_analysed(report_with, study: Exam) -> None:
    told = report_with(0.01, 0.99)(study)
    still, clip = told.pictures
    assert "NumberOfFrames" not in still.ds or still.ds.NumberOfFrames == 1
    assert clip.ds.NumberOfFrames == 3
    ((_, (link,)),) = [(one, one.captures) for one in told.content.images if one.frames > 1]
    assert link.frame_numbers == (1, 3, 5)


def test_regions_of_a_key_frame_lie_in_the_box(tmp_path: Path, cropper: Cropper, study: Exam) -> None:
    told = Reporting(tmp_path, cropper, active("lung-signs", installed()))(study)
    present = {finding.class_id for finding in told.content.findings if finding.state.value == "present"}
    shown = set()
    for image in told.content.images:
        x0, y0, x1, y1 = image.box
        for frame in image.key_frames:
            assert (frame.frame_number is None) == (image.frames == 1)
            for class_id, polygon in frame.regions:
                shown.add(class_id)
                assert polygon[0] == polygon[-1]
                assert all(x0 <= x <= x1 and y0 <= y <= y1 for x, y in polygon)
    assert shown
    assert shown <= present


def test_the_same_case_gives_the_same_bytes(report_with, study: Exam) -> None:
    make = report_with(0.01, 0.99)
    one, again = make(study), make(study)
    assert [picture.part10 for picture in one.pictures] == [picture.part10 for picture in again.pictures]
    assert (one.key, one.content) == (again.key, again.content)


def test_another_threshold_gives_another_key_and_other_uids(report_with, study: Exam) -> None:
    one, other = report_with(0.01, 0.99)(study), report_with(0.02, 0.99)(study)
    assert one.key != other.key
    assert not {picture.uid for picture in one.pictures} & {picture.uid for picture in other.pictures}


def test_what_cannot_be_assessed_says_neither_present_nor_absent(report_with, study: Exam) -> None:
    abstain = {"kind": "assessability_output", "threshold": 1.0, "false_alarm": 0.0}
    told = report_with(0.01, 0.99, abstain=abstain)(study)
    assert {finding.state.value for finding in told.content.findings} == {"indeterminate"}
    assert [link.class_id for image in told.content.images for link in image.captures] == [None, None]
    assert not any(image.is_assessable for image in told.content.images)


def test_a_study_without_images_is_indeterminate(report_with) -> None:
    (blind,) = exam("lung", seed=2, patient=patient_of(2), content=[STILL])
    del blind.SequenceOfUltrasoundRegions
    told = report_with(0.01, 0.99)(Exam((blind,), {}))
    assert told.pictures == []
    assert {finding.state.value for finding in told.content.findings} == {"indeterminate"}
    assert len(told.content.skipped) == 1


@pytest.mark.parametrize("content", [b"", b"text" * 99])
def test_a_stored_file_that_is_no_data_set_is_unreadable(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.dcm").write_bytes(content)
    with pytest.raises(UnreadableInstance):
        header(tmp_path / "a.dcm")
    with pytest.raises(UnreadableInstance):
        header(tmp_path / "missing.dcm")
