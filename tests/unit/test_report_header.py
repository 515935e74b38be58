import dataclasses

import pytest
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.filebase import DicomBytesIO
from pydicom.tag import Tag

from dicom_ai.report.header import part10
from tests.builders_report import (
    TYPE_2,
    build,
    lung,
    read_back,
    source,
)

STILL, CLIP, THIRD = source(1), source(2, frames=30), source(3)


def test_all_times_are_the_content_time():
    report = build(lung([STILL]), STILL)
    assert (report.ContentDate, report.ContentTime) == ("20260102", "101700")
    assert (report.InstanceCreationDate, report.InstanceCreationTime) == ("20260102", "101700")
    assert (report.SeriesDate, report.SeriesTime) == ("20260102", "101700")
    stamps = {item.ContributionDateTime for item in report.ContributingEquipmentSequence[1:]}
    assert stamps == {"20260102101700"}
    assert "TimezoneOffsetFromUTC" not in report


def test_a_source_with_a_zone_puts_every_time_into_it():
    zoned = source(1, TimezoneOffsetFromUTC="-0400")
    content = lung([zoned])
    content = dataclasses.replace(
        content, analysis=dataclasses.replace(content.analysis, content_time="2026-01-02T02:17:00+00:00")
    )
    report = build(content, zoned)
    assert report.TimezoneOffsetFromUTC == "-0400"
    assert (report.ContentDate, report.ContentTime) == ("20260101", "221700")


@pytest.mark.parametrize("keyword", TYPE_2)
def test_a_source_without_a_type_2_attribute_gets_it_empty(keyword):
    bare = source(1, **{keyword: None})
    report = dcmread(DicomBytesIO(part10(build(lung([bare]), bare))))
    assert keyword in report
    assert not report[keyword].value
    assert keyword not in bare
    for other in set(TYPE_2) - {keyword}:
        assert str(report[other].value) == str(bare[other].value)


@pytest.mark.parametrize(
    ("charset", "name"),
    [("ISO_IR 100", "Müller^Jörg"), ("ISO_IR 192", "Wang^XiaoDong=王^小东"), ("GB18030", "Wang^XiaoDong=王^小东")],
)  # fmt: skip
def test_names_survive_every_character_set(charset, name):
    written = source(1, SpecificCharacterSet=charset, PatientName=name)
    report = dcmread(DicomBytesIO(part10(build(lung([read_back(written)]), read_back(written)))))
    assert report.SpecificCharacterSet == "ISO_IR 192"
    assert str(report.PatientName) == name


def test_a_name_with_escape_sequences_survives():
    # Written by hand after PS3.5 K.2: pydicom reads these but does not write them.
    raw = b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab"
    written = source(1, SpecificCharacterSet=["", "ISO 2022 IR 58"])
    written[0x00100010] = RawDataElement(Tag(0x00100010), "PN", len(raw), raw, 0, False, True)
    report = dcmread(DicomBytesIO(part10(build(lung([read_back(written)]), read_back(written)))))
    assert str(report.PatientName) == "Zhang^XiaoDong=张^小东"
    assert b"\x1b" not in part10(report)


def test_scanners_old_dates_and_odd_sexes_are_mended():
    old = source(1)
    old["PatientSex"]._value = "FEMALE"
    old["StudyDate"]._value, old["StudyTime"]._value = "1997.04.24", "14:04:38"
    report = build(lung([old]), old)
    assert (report.PatientSex, report.StudyDate, report.StudyTime) == ("", "19970424", "140438")


@pytest.mark.parametrize(
    ("keyword", "vr", "raw"),
    [
        ("PatientSize", "DS", b"tall"),
        ("PatientAge", "AS", b"old "),
        ("PatientSex", "CS", b"lady"),
        ("SmokingStatus", "CS", b"a\\b "),
    ],
)
def test_what_is_no_number_age_or_code_is_left_out_and_fails_nothing(keyword, vr, raw):
    written = source(1)
    written[Tag(keyword)] = RawDataElement(Tag(keyword), vr, len(raw), raw, 0, False, True)
    report = build(lung([read_back(written)]), read_back(written))
    assert not report.get(keyword)
    assert str(report.PatientID) == str(written.PatientID)


def test_an_overlong_patient_id_is_carried_all_the_same():
    raw = b"7" * 70
    written = source(1)
    written[Tag("PatientID")] = RawDataElement(Tag("PatientID"), "LO", len(raw), raw, 0, False, True)
    with pytest.warns(UserWarning, match="exceeds the maximum length"):
        report = build(lung([read_back(written)]), read_back(written))
    assert report.PatientID == raw.decode()
