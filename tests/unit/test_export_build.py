"""Exported objects: what is in them, what they are called, when they were made, and what validators say."""

import re
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread

from dicom_ai.crop.export.attributes import LISTED
from dicom_ai.crop.export.build import Site, build, mask_digest
from dicom_ai.crop.export.pseudonym import LONGEST_SHIFT_DAYS, Pseudonyms, replacements
from dicom_ai.crop.export.regions import rebased
from dicom_ai.errors import UnreadableInstance
from dicom_ai.kept import CropOutcome, Kept
from tests.e2e.validators import errors_of
from tests.exports import ID, NAME, SITE, pixels, region, source

KEYS = Pseudonyms("5" * 64)
OTHER = Pseudonyms("6" * 64)


def made(header, kept, site=SITE):
    return dcmread(BytesIO(build(header, kept, site)))


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_object_is_sound_and_holds_the_kept_pixels(tmp_path: Path, frames, channels):
    kept = pixels(frames, channels)
    file = tmp_path / "object.dcm"
    file.write_bytes(build(source(frames), kept, SITE))
    ds = dcmread(file)
    assert errors_of(file) == []
    assert np.array_equal(ds.pixel_array.reshape(kept.frames.shape), kept.frames)
    assert ds.SOPClassUID.name == ("Ultrasound Multi-frame Image Storage" if frames > 1 else "Ultrasound Image Storage")
    assert ds.PhotometricInterpretation == ("RGB" if channels == 3 else "MONOCHROME2")
    assert (ds.BurnedInAnnotation, ds.PatientIdentityRemoved, ds.ImageType[0]) == ("NO", "YES", "DERIVED")
    assert [item.CodeValue for item in ds.DeidentificationMethodCodeSequence] == ["113100", "113101", "113107"]
    assert (ds.Manufacturer, ds.ManufacturerModelName) == ("GE", "LOGIQE9")
    assert (ds.BodyPartExamined, ds.Laterality, ds.SeriesNumber, ds.InstanceNumber) == ("LUNG", "L", 1, 7)
    assert "PatientAge" not in ds
    assert ds.PatientSex == ds.PatientBirthDate == ds.AccessionNumber == ""
    if frames > 1:
        assert (ds.NumberOfFrames, ds.FrameTime, ds.CineRate, ds.FrameIncrementPointer) == (3, 22.152, 45, 0x00181063)


def test_every_attribute_is_listed_and_the_list_is_in_the_dictionary():
    ds = made(source(3), pixels(3, 3))
    assert {element.tag for element in (*ds, *ds.file_meta)} <= set(LISTED)
    assert all(one.vr for one in LISTED.values())


def test_the_same_object_is_exported_to_the_same_bytes_and_another_site_makes_others():
    header, kept = source(), pixels()
    assert build(header, kept, SITE) == build(source(), pixels(), SITE)
    mine, theirs = made(header, kept), made(header, kept, Site(OTHER))
    for keyword in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "StudyDate"):
        assert mine[keyword].value != theirs[keyword].value


def test_another_crop_of_an_object_is_another_instance_of_the_same_series():
    one, two = made(source(), pixels()), made(source(), pixels(blanked=((20, 20, 24, 24),)))
    assert one.SOPInstanceUID != two.SOPInstanceUID
    assert one.SeriesInstanceUID == two.SeriesInstanceUID
    assert mask_digest(pixels().outcome) != mask_digest(pixels(blanked=((20, 20, 24, 24),)).outcome)


def test_objects_of_one_patient_and_study_stay_together_and_others_apart():
    first, second = made(source(), pixels()), made(source(SOPInstanceUID="1.2.9", ContentTime="091730"), pixels())
    assert (first.PatientID, first.StudyInstanceUID) == (second.PatientID, second.StudyInstanceUID)
    assert first.SOPInstanceUID != second.SOPInstanceUID
    stranger = made(source(PatientID="ANOTHER"), pixels())
    assert stranger.PatientID != first.PatientID
    nobody = [made(source(PatientID="", StudyInstanceUID=uid), pixels()).PatientID for uid in ("1.2.3", "1.2.4")]
    assert nobody[0] != nobody[1]


def test_an_id_is_the_same_in_every_character_set_and_however_it_was_read():
    ids = set()
    for terms in ("ISO_IR 192", "GB18030", "ISO_IR 100", "ISO_IR 101"):
        header = source(SpecificCharacterSet=terms, PatientID="Ü-77")
        ids.add(replacements(header, KEYS, "")["PatientID"])
        assert header.PatientID  # converted by the library from here on
        ids.add(replacements(header, KEYS, "")["PatientID"])
    assert len(ids) == 1


@settings(max_examples=40)
@given(
    st.text(st.characters(codec="ascii", categories=("L", "N", "P")), min_size=1, max_size=20),
    st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1)),  # noqa: DTZ001 - the scanner's own zone
    st.timedeltas(timedelta(0), timedelta(days=900)),
)
def test_dates_move_back_and_intervals_of_one_patient_stay(patient, first, later):
    first = first.replace(microsecond=0)
    second = first + timedelta(seconds=int(later.total_seconds()))
    shift = KEYS.shift(patient)
    assert timedelta(days=1) <= shift <= timedelta(days=LONGEST_SHIFT_DAYS)
    moved = []
    for at in (first, second):
        header = source(PatientID=patient, StudyDate=f"{at:%Y%m%d}", StudyTime=f"{at:%H%M%S}")
        values = replacements(header, KEYS, "")
        moved.append(datetime.strptime(values["StudyDate"] + values["StudyTime"], "%Y%m%d%H%M%S"))  # noqa: DTZ007
    assert first - moved[0] == KEYS.shift(patient.strip())
    assert moved[1] - moved[0] == second - first


@pytest.mark.parametrize(
    ("date", "time", "has"),
    [
        ("20240304", "", ("StudyDate",)),
        ("20240304", "99", ("StudyDate",)),
        ("20240304", "081560", ("StudyDate",)),
        ("2024.03.04", "08:15:00", ("StudyDate", "StudyTime")),
        ("", "081500", ()),
        ("20241399", "081500", ()),
        ("00010101", "000000", ()),
    ],
)
def test_what_is_no_moment_is_left_out(date, time, has):
    header = source()
    for keyword, value in (("StudyDate", date), ("StudyTime", time)):
        header.add_new(keyword, "LO", value)
    values = replacements(header, KEYS, "")
    assert tuple(keyword for keyword in ("StudyDate", "StudyTime") if keyword in values) == has


def test_shifts_of_patients_differ():
    assert len({KEYS.shift(str(number)) for number in range(500)}) == 500


def test_a_source_that_does_not_say_what_it_is_is_refused():
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        header = source()
        del header[keyword]
        with pytest.raises(UnreadableInstance):
            build(header, pixels(), SITE)


def test_only_all_frames_are_exported():
    kept = pixels(4)
    with pytest.raises(ValueError, match="every frame"):
        build(source(4), Kept(kept.frames[::2], (1, 3), kept.outcome), SITE)


def test_a_device_outside_the_catalogue_gets_a_keyed_name():
    ds = made(source(Manufacturer="Erika Muster", ManufacturerModelName="LOGIQE9"), pixels())
    assert re.fullmatch(r"M[0-9A-F]{16}", ds.Manufacturer)
    assert re.fullmatch(r"D[0-9A-F]{16}", ds.ManufacturerModelName)
    assert made(source(), pixels()).SOPInstanceUID != made(source(), pixels(), Site(KEYS)).SOPInstanceUID
    again = made(source(Manufacturer="ERIKA MUSTER", ManufacturerModelName="logiqe9"), pixels())
    assert (again.Manufacturer, again.ManufacturerModelName) == (ds.Manufacturer, ds.ManufacturerModelName)


@pytest.mark.parametrize(
    ("stated", "syntax", "expected"),
    [
        ({}, "1.2.840.10008.1.2.1", (None, None, None)),
        ({"LossyImageCompression": "00"}, "1.2.840.10008.1.2.1", ("00", None, None)),
        ({"LossyImageCompression": "00"}, "1.2.840.10008.1.2.4.50", ("01", None, ["ISO_10918_1"])),
        ({}, "1.2.840.10008.1.2.4.91", ("01", None, ["ISO_15444_1"])),
        ({"LossyImageCompression": "01"}, "1.2.840.10008.1.2.1", ("01", None, None)),
        (
            {"LossyImageCompression": "01", "LossyImageCompressionRatio": ["8", "2.5"],
             "LossyImageCompressionMethod": ["ISO_10918_1", "ISO_15444_1"]},
            "1.2.840.10008.1.2.1", ("01", [8.0, 2.5], ["ISO_10918_1", "ISO_15444_1"]),
        ),
        (
            {"LossyImageCompression": "01", "LossyImageCompressionRatio": "8", "LossyImageCompressionMethod": "MUSTER"},
            "1.2.840.10008.1.2.1", ("01", None, None),
        ),
    ],
)  # fmt: skip
def test_what_was_lossy_once_says_so(stated, syntax, expected):
    header = source(**stated)
    header.file_meta.TransferSyntaxUID = syntax
    ds = made(header, pixels())
    ratios, methods = (ds.get(f"LossyImageCompression{name}") for name in ("Ratio", "Method"))
    said, *history = expected
    assert ds.get("LossyImageCompression") == said
    assert [many(ratios), many(methods)] == history


def many(value):
    if value is None:
        return None
    return [value] if isinstance(value, (str, float)) else list(value)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("FrameTime", 22.152)),
        ({"FrameTime": None, "CineRate": 40}, ("FrameTime", 25)),
        ({"FrameTime": None, "CineRate": None}, ("FrameTime", 0)),
        ({"FrameTime": None, "FrameTimeVector": ["0", "20", "22"]}, ("FrameTimeVector", [0, 20, 22])),
        ({"FrameTime": None, "FrameTimeVector": ["0", "20"], "CineRate": 50}, ("FrameTime", 20)),
    ],
)
def test_frames_keep_their_times(tmp_path, changes, expected):
    file = tmp_path / "clip.dcm"
    file.write_bytes(build(source(3, **changes), pixels(3), SITE))
    ds = dcmread(file)
    keyword, value = expected
    assert ds[keyword].value == value
    assert ds[ds.FrameIncrementPointer].keyword == keyword
    assert errors_of(file) == []


def test_numbers_out_of_bounds_and_words_out_of_lists_stay_behind():
    header = source(InstanceNumber=4471920, SeriesNumber=4471921, BodyPartExamined="MUSTER", Laterality="X")
    ds = made(header, pixels())
    assert ds.InstanceNumber is ds.SeriesNumber is None
    assert "BodyPartExamined" not in ds
    assert ds.Laterality == ""


def test_a_region_is_moved_and_its_reference_pixel_stays_on_the_tissue():
    kept = pixels()
    x, y, right, bottom = kept.outcome.box
    (item,) = made(source(), kept).SequenceOfUltrasoundRegions
    assert (item.RegionLocationMinX0, item.RegionLocationMinY0) == (0, 0)
    assert (item.RegionLocationMaxX1, item.RegionLocationMaxY1) == (right - x - 1, bottom - y - 1)
    assert (x + item.RegionLocationMinX0 + item.ReferencePixelX0, y + item.ReferencePixelY0) == (2 + 30, 5 - 4)
    assert (item.PhysicalDeltaX, item.TransducerFrequency) == (0.0167, 5000)


INSIDE = st.tuples(st.integers(0, 50), st.integers(0, 40), st.integers(1, 14), st.integers(1, 8))


@given(INSIDE, INSIDE, st.integers(-90, 90), st.integers(-90, 90))
def test_any_region_keeps_its_place_under_any_crop(stated, cut, ref_x, ref_y):
    x0, y0, w, h = stated
    header = source(SequenceOfUltrasoundRegions=[
        region(RegionLocationMinX0=x0, RegionLocationMinY0=y0, RegionLocationMaxX1=x0 + w, RegionLocationMaxY1=y0 + h,
               ReferencePixelX0=ref_x, ReferencePixelY0=ref_y)
    ])  # fmt: skip
    box = cut[0], cut[1], cut[0] + cut[2] + 1, cut[1] + cut[3] + 1
    shared_x = set(range(x0, x0 + w + 1)) & set(range(box[0], box[2]))
    shared_y = set(range(y0, y0 + h + 1)) & set(range(box[1], box[3]))
    found = rebased(header, box)
    if len(shared_x) < 2 or len(shared_y) < 2:
        assert found == []
        return
    (item,) = found
    assert box[0] + item.RegionLocationMinX0 == min(shared_x)
    assert box[0] + item.RegionLocationMaxX1 == max(shared_x)
    assert box[1] + item.RegionLocationMinY0 == min(shared_y)
    assert box[1] + item.RegionLocationMaxY1 == max(shared_y)
    assert box[0] + item.RegionLocationMinX0 + item.ReferencePixelX0 == x0 + ref_x
    assert box[1] + item.RegionLocationMinY0 + item.ReferencePixelY0 == y0 + ref_y


@pytest.mark.parametrize(
    "changes",
    [{"RegionSpatialFormat": 0}, {"RegionSpatialFormat": 3}, {"RegionDataType": 13}, {"PhysicalDeltaX": 1e9},
     {"PhysicalUnitsXDirection": 99}],
    ids=str,
)  # fmt: skip
def test_other_regions_and_those_that_cannot_be_believed_are_dropped(changes):
    ds = made(source(SequenceOfUltrasoundRegions=[region(**changes)]), pixels())
    assert "SequenceOfUltrasoundRegions" not in ds


def test_a_crop_without_a_box_is_no_export():
    kept = pixels()
    with pytest.raises(ValueError, match="every frame"):
        build(source(), Kept(kept.frames, (1,), CropOutcome("cropped", None, 1, 1, 1)), SITE)


def test_names_do_not_cross():
    data = build(source(3), pixels(3), SITE)
    assert NAME.encode() not in data
    assert ID.encode() not in data
