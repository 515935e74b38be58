"""The note that takes a wrong result back: what it names, and what the validators say of it."""

from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicom_ai.commands.validate import findings
from dicom_ai.instance import Instance
from dicom_ai.report.header import part10
from dicom_ai.report.rejection import Recall, rejection_note
from tests.builders_report import NAMESPACE, build, lung, named, source
from tests.unit.test_report_validators import ALLOWED, ENTITY, pictures, tool

RECALL = Recall("Muster^Doktor", "The study belongs to another patient.", "2026-01-05T09:00:00")


def results(**values: object) -> tuple[Dataset, Dataset]:
    header = source(1, **values)
    return build(lung([header]), header), pictures(header)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_validators_find_nothing(language, tmp_path: Path):
    report, capture = results()
    note = rejection_note([capture, report], Recall(RECALL.by, RECALL.why, RECALL.time, language), namespace=NAMESPACE)
    for name, ds in (("note", note), ("report", report), ("capture", capture)):
        (tmp_path / f"{name}.dcm").write_bytes(part10(ds))
    tool("dciodvfy")
    assert [line for line in findings("dciodvfy", tmp_path / "note.dcm") if not ALLOWED.search(line)] == []
    tool("dsrdump")
    assert [line for line in findings("dsrdump", tmp_path / "note.dcm") if not line.startswith("W:")] == []
    tool("dcentvfy")
    assert [one for one in findings("dcentvfy", *sorted(tmp_path.glob("*.dcm"))) if not ENTITY.search(one)] == []


def test_it_names_what_it_takes_back_and_says_why():
    report, capture = results(TimezoneOffsetFromUTC="+0800")
    note = dcmread(BytesIO(part10(rejection_note([capture, report], RECALL, namespace=NAMESPACE))))
    assert note.ConceptNameCodeSequence[0].CodeValue == "113037"
    assert note.Modality == "KO"
    (why,) = named(note, "113012")
    assert why.TextValue == f"RECALLED: the AI result named here is wrong and must not be used. {RECALL.why}"
    references = [item for item in note.ContentSequence if item.ValueType in {"IMAGE", "COMPOSITE"}]
    assert not any("ConceptNameCodeSequence" in item for item in references), "TID 2010 forbids a purpose of reference"
    listed = {item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in references}
    assert listed == {report.SOPInstanceUID, capture.SOPInstanceUID}
    (study,) = note.CurrentRequestedProcedureEvidenceSequence
    evidence = {
        one.ReferencedSOPInstanceUID
        for series in study.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    }
    assert evidence == listed
    assert (note.PatientID, note.StudyInstanceUID) == (report.PatientID, report.StudyInstanceUID)
    assert (note.ContentDate, note.ContentTime, note.TimezoneOffsetFromUTC) == ("20260105", "090000", "+0800")
    assert Instance.of(note, "1.2.840.10008.1.2.1").barred == "not_ultrasound"


def test_the_same_recall_gives_the_same_bytes_and_another_reason_another_note():
    report, capture = results()
    first = part10(rejection_note([report, capture], RECALL, namespace=NAMESPACE))
    assert part10(rejection_note([capture, report], RECALL, namespace=NAMESPACE)) == first
    other = rejection_note([report, capture], Recall(RECALL.by, "No.", RECALL.time), namespace=NAMESPACE)
    assert other.SOPInstanceUID != dcmread(BytesIO(first)).SOPInstanceUID


def test_a_recall_of_nothing_of_others_or_without_a_word_is_refused():
    report, capture = results()
    with pytest.raises(ValueError, match="nothing to recall"):
        rejection_note([], RECALL, namespace=NAMESPACE)
    with pytest.raises(ValueError, match="only results of this project"):
        rejection_note([report, source(1)], RECALL, namespace=NAMESPACE)
    for by, why in (("", "x"), ("^", "x"), ("A", " ")):
        with pytest.raises(ValueError, match="who takes"):
            rejection_note([report], Recall(by, why, RECALL.time), namespace=NAMESPACE)
    capture.StudyInstanceUID = "1.2.3"
    with pytest.raises(ValueError, match="several studies"):
        rejection_note([report, capture], RECALL, namespace=NAMESPACE)
