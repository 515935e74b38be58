"""What a reader may say on a command line: understood in front of a report, or refused with what would be right."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, seed
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicom_ai.commands import verdict as verdicts
from dicom_ai.commands.said import Reading, Said
from dicom_ai.errors import SettingsError
from dicom_ai.report import find
from dicom_ai.report.assessed import Assessment, Missed
from dicom_ai.report.header import part10
from dicom_ai.report.outline import polygon_of
from dicom_ai.report.verdict_rows import MISSED, read_verdict
from dicom_ai.settings import Settings, Store
from tests.builders_report import build, lung, source
from tests.ledger import Clock
from tests.unit.test_report_verdict import ZONE

CORNERS = "300,200 340,200 340,240"
SQUARE = ((300.0, 200.0), (340.0, 200.0), (340.0, 240.0))
WHO = {"by": "Muster^Erika", "organisation": "Clinic"}


@pytest.fixture(scope="module")
def report() -> Dataset:
    """A still without a finding, and a clip of 30 frames with one: entries 1, 2 and 3, 4, 5."""
    still, clip = source(1), source(2, frames=30)
    return build(lung([still, clip]), still, clip)


def read(report: Dataset, **words: object) -> Reading:
    return Reading(Said(**words), report, {str(source(2).SOPInstanceUID): 30})  # type: ignore[arg-type]


def uids(report: Dataset) -> list[str]:
    return [find.tracking_uid(group) for group in find.groups(report)]


def test_several_findings_are_assessed_at_once_each_with_its_reason(report: Dataset) -> None:
    ids = uids(report)
    found = read(
        report, reject=["2"], modify=["3=consolidation"], outline=[f"3:{CORNERS}", f"{ids[3]}:{CORNERS}"],
        accept=["1"], reason=["2=rib shadow", "seen at once"],
    ).assessments()  # fmt: skip
    assert found == [
        Assessment(ids[0], "ACCEPTED", reason="seen at once"),
        Assessment(ids[1], "REJECTED", reason="rib shadow"),
        Assessment(ids[2], "MODIFIED", "consolidation", SQUARE, "seen at once"),
        Assessment(ids[3], "MODIFIED", None, SQUARE, "seen at once"),
    ]


@pytest.mark.parametrize(("option", "verdict"), [("accept", "ACCEPTED"), ("reject", "REJECTED")])
def test_all_means_every_finding_that_is_not_named_otherwise(report: Dataset, option: str, verdict: str) -> None:
    found = read(report, modify=["2=b_lines"], **{option: ["all"]}).assessments()
    assert [one.verdict for one in found] == [verdict, "MODIFIED", *[verdict] * (len(uids(report)) - 2)]


def test_what_was_missed_lies_on_an_image_and_a_clip_s_frame(report: Dataset) -> None:
    still, clip = str(source(1).SOPInstanceUID), str(source(2).SOPInstanceUID)
    found = read(
        report, missed=["pleural_effusion", "a_lines", "b_lines"], region=[f"2:12:{CORNERS}", f"1:{CORNERS}",
        f"{still}:1:{CORNERS}"], reason=["overlooked"],
    ).missed()  # fmt: skip
    assert found == [
        Missed(clip, 12, "pleural_effusion", SQUARE, "overlooked"),
        Missed(still, None, "a_lines", SQUARE, "overlooked"),
        Missed(still, None, "b_lines", SQUARE, "overlooked"),
    ]


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ({"accept": ["9"]}, "its findings are 1 to"),
        ({"accept": ["1"], "reject": ["1"]}, "finding 1 is assessed twice"),
        ({"accept": ["all"], "reject": ["all"]}, "name those of one kind"),
        ({"modify": ["1"]}, "there are a_lines"),
        ({"modify": ["1=lesion"]}, "there are a_lines"),
        ({"outline": [CORNERS]}, "write --outline"),
        ({"outline": ["1:300,200 340,200"]}, "at least three points"),
        ({"outline": ["1:300;200 340;200 340;240"]}, "at least three points"),
        ({"outline": ["1:1,2 3,4 -5,6"]}, "at least three points"),
        ({"outline": [f"1:{CORNERS}", f"1:{CORNERS}"]}, "draw one"),
        ({"missed": ["a_lines"]}, "has one --region"),
        ({"region": [f"1:{CORNERS}"]}, "use --outline"),
        ({"missed": ["lesion"], "region": [f"1:{CORNERS}"]}, "there are a_lines"),
        ({"missed": ["a_lines"], "region": [CORNERS]}, "write --region"),
        ({"missed": ["a_lines"], "region": [f"3:{CORNERS}"]}, "its images are 1 to 2"),
        ({"missed": ["a_lines"], "region": [f"1:2:{CORNERS}"]}, "image 1 is a still"),
        ({"missed": ["a_lines"], "region": [f"2:{CORNERS}"]}, r"name the frame \(1 to 30\)"),
        ({"missed": ["a_lines"], "region": [f"2:0:{CORNERS}"]}, r"name the frame \(1 to 30\)"),
        ({"missed": ["a_lines"], "region": [f"2:31:{CORNERS}"]}, r"name the frame \(1 to 30\)"),
        ({"accept": ["1"], "reason": ["one", "two"]}, "write --reason ID=TEXT"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_would_be_right(
    report: Dataset, words: dict[str, list[str]], remedy: str
) -> None:
    reading = read(report, **words)
    with pytest.raises(SettingsError, match=remedy):
        _ = reading.assessments(), reading.missed()


@pytest.mark.parametrize("code", ["4711", "4711^99CLINIC", "^^", "a^b^c^d"])
def test_a_reader_s_code_has_three_parts(code: str) -> None:
    with pytest.raises(SettingsError, match=r"VALUE\^SCHEME\^MEANING"):
        Said(by_code=code).reader("2026-01-03T08:15:00")
    assert Said(by_code="4711^99CLINIC^Erika").reader("2026-01-03T08:15:00").coded == ("4711", "99CLINIC", "Erika")


def give(report: Dataset, folder: Path, **words: object) -> Dataset:
    path, out = folder / "report.dcm", folder / "verdict.dcm"
    path.write_bytes(part10(report))
    said = Said(**WHO, **words)  # type: ignore[arg-type]
    settings = Settings(store=Store(data=folder / "data"))
    assert verdicts.verdict(str(path), said, settings, out=out, send=False, clock=Clock()) == 0
    return dcmread(out)


def test_a_whole_verdict_from_the_command_to_the_rows(report: Dataset, tmp_path: Path) -> None:
    document = give(
        report, tmp_path, accept=["1"], outline=[f"3:{CORNERS}"], missed=["pleural_effusion"],
        region=[f"2:12:{CORNERS}"], reason=["3=larger"], by_code="4711^99CLINIC^Erika Muster",
    )  # fmt: skip
    read = read_verdict(document, report, zone=ZONE)
    assert [(row.verdict, row.frame, row.reason) for row in read.rows] == [
        ("ACCEPTED", None, ""), ("MODIFIED", read.rows[1].frame, "larger"), (MISSED, 12, ""),
    ]  # fmt: skip
    closed = (*SQUARE, SQUARE[0])
    assert [row.region for row in read.rows] == [None, closed, closed]
    (observer,) = document.VerifyingObserverSequence
    assert observer.VerifyingObserverIdentificationCodeSequence[0].CodeValue == "4711"
    missed = find.groups(document)[-1]
    assert not [item for item in find.walk(missed) if find.is_called(item, verdicts.code.ALGORITHM_PARAMETERS)]
    assert find.tracking_uid(missed) not in uids(report)


def test_a_region_outside_of_its_image_is_refused_with_its_size(report: Dataset, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="640 columns and 480 rows"):
        give(report, tmp_path, outline=["3:300,200 641,200 340,240"])
    assert not (tmp_path / "verdict.dcm").exists()


_COORDINATE = st.decimals(0, 9999, places=2)


@seed(20261121)
@given(st.lists(st.tuples(_COORDINATE, _COORDINATE), min_size=3, max_size=12))
def test_an_outline_is_read_as_it_was_written(points: list[tuple[Decimal, Decimal]]) -> None:
    assert polygon_of(" ".join(f"{x},{y}" for x, y in points)) == tuple((float(x), float(y)) for x, y in points)
