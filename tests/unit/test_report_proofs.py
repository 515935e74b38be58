"""Each defect that a validator is known to notice is noticed by it; three sound reports pass PixelMed.

What nobody but us notices stands in `test_report_checklist`. Skipped visibly where a tool is missing.
"""

import copy
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicom_ai.commands import pixelmed
from dicom_ai.commands.validate import findings
from dicom_ai.instance import Instance
from dicom_ai.report import code
from dicom_ai.report.checklist import items
from dicom_ai.report.checklist.judge import complaints, set_complaints
from dicom_ai.report.header import code_item, part10
from dicom_ai.report.rejection import Recall, rejection_note
from dicom_ai.report.structured import SR_CLASSES
from tests.judges import ASSESSED, verdict_on
from tests.results_set import ResultSet, result_set
from tests.unit.test_report_validators import ENTITY


def installed(tool: str) -> None:
    if not (pixelmed.is_installed() if tool == "pixelmed" else shutil.which(tool)):
        pytest.skip(f"{tool} is not installed")


def written(ds: Dataset, folder: Path, name: str = "object") -> Path:
    path = folder / f"{name}.dcm"
    path.write_bytes(part10(ds))
    return path


@pytest.mark.parametrize(
    ("kind", "frames", "language", "sop_class"),
    [("lung", 1, "en", SR_CLASSES[0]), ("lung", 4, "zh", SR_CLASSES[1]), ("uterus", 1, "en", SR_CLASSES[2])],
)
def test_pixelmed_finds_nothing_in_three_reports(kind, frames, language, sop_class, tmp_path):
    installed("pixelmed")
    made = result_set(kind, frames, language=language, sop_class=sop_class)
    assert findings("pixelmed", written(made.report, tmp_path)) == []


@pytest.mark.verify
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(
    ("verdict", "sop_class"), list(zip(("ACCEPTED", "MODIFIED", "REJECTED"), SR_CLASSES, strict=True))
)
def test_pixelmed_finds_nothing_in_a_verdict_but_the_readers_word(verdict, sop_class, language, tmp_path):
    installed("pixelmed")
    made = result_set("lung", 4, language=language, sop_class=sop_class)
    document = verdict_on(made.report, verdict, "lung-signs")
    assert document is not None
    found = findings("pixelmed", written(document, tmp_path))
    assert [line for line in found if not ASSESSED.search(line)] == []
    assert found, "were the word in the template, nothing would have to be allowed"
    assert [complaint.line() for complaint in complaints(document, made.all)] == []


TRANSLATED = re.compile(r"^Warning: .*meaning .* than code meaning in template concept name context group")
"""The title of a note in the site's language: the code is the standard's, its meaning translated (PS3.3 8.3)."""


def taken_back(made: ResultSet, language: str = "en") -> Dataset:
    recall = Recall("Muster^Doktor", "Of another patient.", "2026-01-05T09:00:00", language)
    return rejection_note([made.report, *made.captures], recall, namespace="site")


@pytest.mark.verify
@pytest.mark.parametrize("language", ["en", "zh"])
def test_pixelmed_finds_nothing_in_a_note_that_takes_results_back(language, tmp_path):
    installed("pixelmed")
    found = findings("pixelmed", written(taken_back(result_set(), language), tmp_path))
    assert [line for line in found if not (language == "zh" and TRANSLATED.search(line))] == []


@pytest.mark.verify
def test_pixelmed_notices_a_purpose_of_reference_in_a_note(tmp_path):
    installed("pixelmed")
    note = taken_back(result_set())
    for item in note.ContentSequence:
        if "ReferencedSOPSequence" in item:
            item.ConceptNameCodeSequence = [code_item(code.SOURCE)]
    assert errors("pixelmed", written(note, tmp_path))


def test_everything_of_ours_is_refused_by_our_own_receiver(tmp_path):
    """Reports in each class, captures of stills and clips, verdicts and notes, as they come from their files."""
    still, clip = result_set(), result_set(frames=4)
    documents = [result_set(sop_class=one).report for one in SR_CLASSES]
    verdict = verdict_on(still.report, "ACCEPTED", "lung-signs")
    assert verdict is not None
    ours = [*documents, *still.captures, *clip.captures, verdict, taken_back(still)]
    for number, ds in enumerate(ours):
        back = dcmread(written(ds, tmp_path, str(number)), stop_before_pixels=True)
        instance = Instance.of(back, back.file_meta.TransferSyntaxUID)
        assert not instance.is_ultrasound or instance.is_own_result
        assert instance.barred in {"not_ultrasound", "own_result"}


@pytest.mark.parametrize(("kind", "frames"), [("lung", 1), ("lung", 4), ("uterus", 1)])
def test_dcentvfy_finds_nothing_over_a_set(kind, frames, tmp_path):
    installed("dcentvfy")
    found = findings("dcentvfy", *files(result_set(kind, frames), tmp_path))
    assert [line for line in found if not ENTITY.search(line)] == []


def group(report: Dataset) -> Dataset:
    return items.groups(report)[1]


def method_in_a_group(report: Dataset) -> None:
    """As highdicom writes `method=`: CONTAINS, where the template says HAS CONCEPT MOD."""
    extra = copy.deepcopy(items.named(group(report), items.FINDING_SITE)[0])
    extra.ConceptNameCodeSequence[0].CodeValue = "370129005"
    extra.ConceptNameCodeSequence[0].CodeMeaning = "Measurement Method"
    extra.RelationshipType = "CONTAINS"
    group(report).ContentSequence.append(extra)


def procedure_outside_its_group(report: Dataset) -> None:
    (item,) = items.named(report, code.PROCEDURE_REPORTED.value) or items.named(report, "121058")
    item.ConceptCodeSequence = [code_item(code.PERFORMED_PROCEDURES["lung-signs"])]


def other_root(report: Dataset) -> None:
    report.ConceptNameCodeSequence = [code_item(code.IMAGE_LIBRARY)]


def finding_category(report: Dataset) -> None:
    extra = copy.deepcopy(items.named(group(report), code.FINDING)[0])
    extra.ConceptNameCodeSequence = [code_item(code.Term("276214006", "SCT", "Finding category", ""))]
    group(report).ContentSequence.append(extra)


def manufacturer_of_the_algorithm(report: Dataset) -> None:
    extra = copy.deepcopy(items.named(group(report), "111001")[0])
    extra.ConceptNameCodeSequence = [code_item(code.Term("122405", "DCM", "Algorithm Manufacturer", ""))]
    group(report).ContentSequence.append(extra)


@pytest.mark.verify
@pytest.mark.parametrize(
    ("defect", "severity"),
    [
        (method_in_a_group, "Error"),
        (procedure_outside_its_group, "Error"),
        (other_root, "Warning"),
        (finding_category, "Warning"),
        (manufacturer_of_the_algorithm, "Warning"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_pixelmed_notices_what_breaks_the_template(defect: Callable[[Dataset], None], severity: str, tmp_path: Path):
    installed("pixelmed")
    made = result_set(language="en")
    defect(made.report)
    found = findings("pixelmed", written(made.report, tmp_path))
    assert any(line.startswith(severity) for line in found), found


def without(keyword: str) -> Callable[[Dataset], None]:
    return lambda ds: delattr(ds, keyword)


def empty_request(ds: Dataset) -> None:
    ds.ReferencedRequestSequence = []


@pytest.mark.parametrize(
    ("of", "frames", "keyword", "defect"),
    [
        ("capture", 1, "PatientOrientation", without("PatientOrientation")),
        ("capture", 1, "ConversionType", without("ConversionType")),
        ("capture", 4, "BurnedInAnnotation", without("BurnedInAnnotation")),
        ("capture", 1, "Laterality", without("BodyPartExamined")),
        ("report", 1, "ReferencedRequestSequence", empty_request),
        ("report", 1, "CompletionFlag", without("CompletionFlag")),
        ("report", 1, "ContinuityOfContent", without("ContinuityOfContent")),
    ],
)
def test_dciodvfy_notices_what_breaks_the_module(of, frames, keyword, defect, tmp_path):
    installed("dciodvfy")
    made = result_set(frames=frames)
    ds = made.report if of == "report" else made.captures[0]
    ds = copy.deepcopy(ds)
    if of == "capture":
        ds.PixelData = bytes(480 * 640 * 3)
        ds["PixelData"].VR = "OB"
        ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    before = errors("dciodvfy", written(ds, tmp_path, "sound"))
    defect(ds)
    now = errors("dciodvfy", written(ds, tmp_path, "broken"))
    assert not any(keyword in line for line in before)
    assert any(keyword in line for line in now), now


def errors(tool: str, *paths: Path) -> list[str]:
    return [line for line in findings(tool, *paths) if line.startswith("Error")]


def files(made: ResultSet, folder: Path) -> list[Path]:
    return [written(ds, folder, str(number)) for number, ds in enumerate(made.all)]


def birth_time_in_the_report_only(made: ResultSet) -> None:
    made.report.PatientBirthTime = "101010"


def other_patient_in_the_capture(made: ResultSet) -> None:
    made.captures[0].PatientID = "PID-2"


@pytest.mark.parametrize(
    "defect",
    [
        birth_time_in_the_report_only,
        other_patient_in_the_capture,
    ],
    ids=lambda value: value.__name__,
)
def test_dcentvfy_notices_what_does_not_fit_together(defect, tmp_path):
    installed("dcentvfy")
    made = copy.deepcopy(result_set())
    before = findings("dcentvfy", *files(made, tmp_path))
    defect(made)
    folder = tmp_path / "broken"
    folder.mkdir()
    assert len(findings("dcentvfy", *files(made, folder))) > len(before)


@pytest.mark.parametrize("gone", ["sources", "captures"])
def test_dcentvfy_and_our_own_list_notice_a_reference_to_what_is_not_there(gone, tmp_path):
    made = copy.deepcopy(result_set())
    getattr(made, gone).pop()
    assert 5 in {complaint.point for complaint in set_complaints(made.all)}
    installed("dcentvfy")
    if b"SOPInstanceUID that was referenced" not in Path(shutil.which("dcentvfy") or "").read_bytes():
        pytest.skip("our own list alone: this dcentvfy looks for no references (dicom3tools of 2026 does)")
    assert any("Missing SOPInstanceUID" in line for line in errors("dcentvfy", *files(made, tmp_path)))


def shown(path: Path) -> str:
    done = subprocess.run(["dsr2html", "+U8", str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", done.stdout))


def test_dsr2html_loses_the_names_of_numbers_in_continuous_containers(tmp_path):
    installed("dsr2html")
    report = result_set().report
    assert "Probability of B-lines: 93.12 %" in shown(written(report, tmp_path))
    group_of_loud = items.groups(report)[1]
    group_of_loud.ContinuityOfContent = "CONTINUOUS"
    assert "Probability of B-lines: 93.12 %" not in shown(written(report, tmp_path))
