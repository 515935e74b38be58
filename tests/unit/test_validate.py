"""`validate` runs the real validators, finds real faults, and shows of an object's values nothing unless asked."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread

from dicom_ai.commands import pixelmed
from dicom_ai.commands.pixelmed import complaints
from dicom_ai.commands.pixelmed import without_values as without_codes
from dicom_ai.commands.validate import TOOLS, validate, without_values
from dicom_ai.errors import SettingsError
from dicom_ai.report.header import part10
from dicom_ai.report.structured import SR_CLASSES, structured_report
from tests.builders_report import lung, source

needs_tools = pytest.mark.skipif(
    any(shutil.which(name) is None for name in TOOLS if name != "pixelmed"),
    reason="dicom3tools and dcmtk are not installed",
)
SLOW = frozenset({"pixelmed"})  # seconds for each report; one test here asks it


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """A report of ours as a file."""
    header = source(1)
    path = tmp_path / "sr.dcm"
    path.write_bytes(part10(structured_report(lung([header]), [header], [], sop_class=SR_CLASSES[0])))
    return path


def rows(capsys: pytest.CaptureFixture[str], *paths: Path, **options: Any) -> tuple[int, list[dict[str, Any]]]:
    capsys.readouterr()
    code = validate(paths, **{"with_values": False, "as_json": True, "without": SLOW, **options})
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@needs_tools
def test_our_report_has_no_error_and_every_tool_has_its_row(report: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = rows(capsys, report)
    assert code == 0
    assert [(row["file"], row["tool"], row["errors"]) for row in found] == [
        (str(report), "dciodvfy", 0),
        (str(report), "dsrdump", 0),
        (str(report), "points", 0),
    ]
    assert all(row["warnings"] == len(row["findings"]) for row in found)


@needs_tools
def test_a_defect_is_found_and_ends_it_with_1(report: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ds = dcmread(report)
    del ds.CompletionFlag
    ds.save_as(report)
    code, found = rows(capsys, report)
    assert code == 1
    assert any("CompletionFlag" in line for row in found if row["errors"] for line in row["findings"])


@needs_tools
def test_our_own_list_finds_what_the_validators_do_not(report: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ds = dcmread(report)
    ds.ContentSequence[-1].ContinuityOfContent = "CONTINUOUS"
    ds.save_as(report)
    code, found = rows(capsys, report)
    assert code == 1
    assert {row["tool"]: row["errors"] for row in found} == {"dciodvfy": 0, "dsrdump": 0, "points": 1}
    assert "point 4" in found[-1]["findings"][0]


def test_pixelmed_is_asked_about_reports_and_quotes_nothing(
    report: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the real one says is tested with the reports; here a file stands for its output."""
    said = tmp_path / "said.txt"
    said.write_text(
        'Error: Template 1500/[Row 4] CODE (121058,DCM,"Procedure reported"): 1.8: /CODE (1,DCM,"Secret"): '
        'Code (77,LN,"Secret") not found in context group 100\n'
        "Root Template Validation Complete\nIOD validation complete\n"
    )
    monkeypatch.setattr(pixelmed, "command", lambda path: ["cat", str(said)])
    monkeypatch.setattr(pixelmed, "is_installed", lambda: True)
    only = {"without": frozenset({"dciodvfy", "dsrdump", "points"})}
    code, found = rows(capsys, report, **only)
    assert code == 1
    assert [(row["file"], row["tool"], row["errors"]) for row in found] == [(str(report), "pixelmed", 1)]
    assert found[0]["findings"][0].endswith("1.8: not found in context group 100")
    assert "Secret" not in json.dumps(found)
    _, asked = rows(capsys, report, with_values=True, **only)
    assert "Secret" in json.dumps(asked)


@pytest.mark.parametrize(
    ("output", "found"),
    [
        ("Root Template Validation Complete\nIOD validation complete\n", []),
        ("", ["Error - pixelmed did not come to an end"]),
        ("Root Template Validation Complete\n", ["Error - pixelmed did not come to an end"]),
        ("IOD validation complete\n", ["Warning - pixelmed knows no template for this report"]),
        ("Warning: x\nRoot Template Validation Complete\nIOD validation complete\n", ["Warning: x"]),
    ],
)
def test_pixelmed_is_believed_only_when_it_came_to_its_end(output: str, found: list[str]) -> None:
    assert complaints(output) == found


@given(value=st.text(min_size=1, alphabet=st.characters(exclude_characters="\n")))
def test_of_what_pixelmed_quotes_nothing_stays(value: str) -> None:
    line = f'Warning: Template 1500/[Row 1]: 1.2: /CONTAINER (1,DCM,"{value}"): Code (2,LN,"{value}") has {value}'
    kept = without_codes(line)
    assert kept.startswith("Warning: Template 1500/[Row 1]: 1.2: ")
    assert kept.removeprefix("Warning: Template 1500/[Row 1]: 1.2: ") in ("...", "different code meaning") or (
        "not found in context group" in value or "relationship" in value or "not in template" in value
    )


@needs_tools
def test_a_set_is_looked_at_together_and_names_no_patient(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, name in enumerate(("Secret^Ann", "Secret^Bea")):
        header = source(1, PatientName=name, PatientID=f"ID-{name}")
        content = structured_report(lung([header]), [header], [], sop_class=SR_CLASSES[0])
        content.SOPInstanceUID = f"2.25.{number + 5}"
        content.file_meta.MediaStorageSOPInstanceUID = f"2.25.{number + 5}"
        content.OperatorsName = "Typed by Secret"
        (tmp_path / f"{number}.dcm").write_bytes(part10(content))
    code, found = rows(capsys, tmp_path)
    (together,) = (row for row in found if row["tool"] == "dcentvfy")
    assert code == 1
    assert together["file"] is None
    assert any("Patient" in line for line in together["findings"])
    assert "Secret" not in json.dumps(found)
    _, asked = rows(capsys, tmp_path, with_values=True)
    assert "Secret" in json.dumps(asked)
    validate((tmp_path,), with_values=False, as_json=False, without=SLOW)
    assert "Secret" not in "".join(capsys.readouterr())


@needs_tools
def test_what_is_no_dicom_file_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("no DICOM")
    code, (row,) = rows(capsys, tmp_path)
    assert (code, row["tool"], row["errors"]) == (1, None, 1)
    with pytest.raises(SettingsError):
        validate((tmp_path / "none",), with_values=False, as_json=True)
    with pytest.raises(SettingsError, match="there are dciodvfy, dcentvfy, dsrdump, pixelmed, points"):
        validate((tmp_path,), with_values=False, as_json=True, without=frozenset({"dicom-validator"}))


@needs_tools
def test_a_tool_that_is_missing_is_told_with_its_package(
    report: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "dciodvfy").symlink_to(shutil.which("dciodvfy") or "")
    monkeypatch.setenv("PATH", str(tools))
    assert validate((report,), with_values=False, as_json=True) == 2, "a report nobody could dump is not validated"
    said = capsys.readouterr()
    assert "dsrdump is not installed and was left out; apt-get install dcmtk" in said.err
    assert "pixelmed is not installed and was left out; apt-get install libpixelmed-java default-jre" in said.err
    assert [json.loads(line)["tool"] for line in said.out.splitlines()] == ["dciodvfy", "points"]
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(SettingsError, match="apt-get install dcmtk dicom3tools libpixelmed-java"):
        validate((report,), with_values=False, as_json=True)


@pytest.mark.parametrize(
    ("line", "left"),
    [
        (
            "Error - </Laterality(0020,0060)> - Missing attribute for Type 2C Conditional - Module=<GeneralSeries>",
            "Error - </Laterality(0020,0060)> - Missing attribute for Type 2C Conditional - Module=<GeneralSeries>",
        ),
        (
            "Warning - </OperatorsName(0008,1070)[1]> - Value dubious for this VR [PN] = <DOE> - Retired form",
            "Warning - </OperatorsName(0008,1070)[1]> - Value dubious for this VR [PN] = <...> - Retired form",
        ),
        (
            "Error - Different PatientID - StudyInstanceUID=<1.2> PatientID=<77> for file <a> versus PatientID=<78>",
            "Error - Different PatientID - StudyInstanceUID=<...>",
        ),
        (
            "Error - String differs - Element=<PatientName> IE=<Patient> for file <a> Value 1 <Doe> versus <Roe> now",
            "Error - String differs - Element=<PatientName> IE=<Patient> for file <...> now",
        ),
        ("Error - PatientID=<Doe", "Error - PatientID=<...>"),
    ],
)
def test_what_a_line_quotes_is_hidden_and_its_names_stay(line: str, left: str) -> None:
    assert without_values(line) == left


@given(value=st.text(min_size=1), tail=st.sampled_from(["", " - Retired Person Name form", " for value 1"]))
def test_no_value_survives(value: str, tail: str) -> None:
    line = f"Error - </PatientName(0010,0010)> - Value dubious for this VR [PN] = <{value}>{tail}"
    assert without_values(line) == f"Error - </PatientName(0010,0010)> - Value dubious for this VR [PN] = <...>{tail}"
