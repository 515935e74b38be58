import dataclasses
import re

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.pixels import pixel_array

from dicom_ai.instance import OUR_MANUFACTURER, Instance
from dicom_ai.kept import sampled_frames
from dicom_ai.report.capture import Shown, capture, capture_class
from dicom_ai.report.header import part10
from dicom_ai.report.legend import legend
from dicom_ai.report.overlay import full_frames
from tests.builders_report import TYPE_2, kept, lung, sector, source, spot, uterus

ANALYSIS = lung([source(1)]).analysis


def shown(header, limit=8, class_id="b_lines", index=0):
    numbers = sampled_frames(int(header.get("NumberOfFrames", 1)), limit)
    crop = kept(header, sector(int(header.Rows), int(header.Columns)), numbers)
    content = lung([source(1)])
    words = legend(ANALYSIS, content.findings, (0.1, 0.9, 0.7, 0.1), class_id=class_id, is_assessable=True)
    heat = spot(crop, 150, 150, 25) if class_id else None
    return Shown(full_frames(crop, heat, words), numbers, class_id, index, crop.outcome.box)


def read_back(ds):
    return dcmread(DicomBytesIO(part10(ds)))


def test_a_still_is_a_raw_secondary_capture_of_the_same_size():
    header = source(1)
    pictures = shown(header)
    ds = read_back(capture(ANALYSIS, header, pictures))
    assert ds.SOPClassUID == "1.2.840.10008.5.1.4.1.1.7"
    assert ds.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert (ds.Rows, ds.Columns, ds.PhotometricInterpretation, ds.PlanarConfiguration) == (480, 640, "RGB", 0)
    assert (pixel_array(ds) == pictures.frames[0]).all()
    assert "NumberOfFrames" not in ds
    assert "ReferencedFrameNumber" not in ds.SourceImageSequence[0]
    assert ds.LossyImageCompression == "00"


def test_a_clip_holds_exactly_the_analysed_frames_at_the_sources_speed():
    header = source(2, frames=30)
    pictures = shown(header)
    ds = read_back(capture(ANALYSIS, header, pictures))
    assert ds.SOPClassUID == "1.2.840.10008.5.1.4.1.1.7.4"
    assert ds.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.50"
    assert ds.NumberOfFrames == 8
    assert list(ds.SourceImageSequence[0].ReferencedFrameNumber) == [1, 5, 9, 13, 17, 21, 25, 29]
    assert float(ds.FrameTime) == pytest.approx(4 * 33.3)
    assert ds.FrameIncrementPointer == 0x00181063
    assert ds.PhotometricInterpretation == "YBR_FULL_422"
    decoded = pixel_array(ds, decoding_plugin="gdcm").astype(float)
    error = ((decoded - pictures.frames) ** 2).mean(axis=(1, 2, 3))
    assert (10 * np.log10(255**2 / error)).min() >= 30


def test_a_clip_can_be_raw_and_is_then_another_instance():
    header = source(2, frames=6)
    pictures = shown(header)
    raw = read_back(capture(ANALYSIS, header, pictures, encoding="raw"))
    assert raw.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert (pixel_array(raw) == pictures.frames).all()
    assert raw.LossyImageCompression == "00"
    assert raw.SOPInstanceUID != capture(ANALYSIS, header, pictures).SOPInstanceUID


@pytest.mark.parametrize("frames", [1, 30])
def test_the_same_pictures_make_the_same_bytes(frames):
    header = source(2, frames=frames)
    assert part10(capture(ANALYSIS, header, shown(header))) == part10(capture(ANALYSIS, header, shown(header)))


def test_uids_are_those_of_the_analysis():
    header = source(1)
    first, second = (capture(ANALYSIS, header, shown(header, index=n)) for n in (0, 1))
    other = capture(dataclasses.replace(ANALYSIS, key="cd" * 32), header, shown(header))
    assert len({first.SOPInstanceUID, second.SOPInstanceUID, other.SOPInstanceUID}) == 3
    assert first.SeriesInstanceUID == second.SeriesInstanceUID != other.SeriesInstanceUID
    assert first.StudyInstanceUID == header.StudyInstanceUID
    assert first.SeriesInstanceUID != header.SeriesInstanceUID
    assert (first.InstanceNumber, second.InstanceNumber) == (1, 2)


def test_it_is_ours_derived_and_never_an_acquisition():
    header = source(1, FrameOfReferenceUID="1.2.3")
    ds = capture(ANALYSIS, header, shown(header))
    assert ds.Manufacturer == OUR_MANUFACTURER
    assert list(ds.ImageType) == ["DERIVED", "SECONDARY", "OTHER"]
    assert ds.Modality == "OT"
    assert ds.BurnedInAnnotation == ds.RecognizableVisualFeatures == "NO"
    assert ds.ContentQualification == "RESEARCH"
    assert ds.SeriesNumber >= 9000
    assert "AI" in ds.SeriesDescription
    assert "unverified" in ds.SeriesDescription
    assert ds.ImageComments == "AI HEATMAP - NOT VERIFIED - NOT FOR DIAGNOSIS"
    assert "B-lines" in ds.DerivationDescription
    assert ds.ContributingEquipmentSequence[-1].DeviceUID.startswith("2.25.")
    assert not {"FrameOfReferenceUID", "SequenceOfUltrasoundRegions", "ICCProfile"} & set(ds.dir())
    assert Instance.of(ds, "1.2.840.10008.1.2.1").is_own_result


def test_without_heat_it_does_not_claim_an_activation_map():
    header = source(1)
    ds = capture(ANALYSIS, header, shown(header, class_id=None))
    assert "DerivationCodeSequence" not in ds
    assert "no class activation drawn" in ds.DerivationDescription


@pytest.mark.parametrize("class_id", ["b_lines", None])
def test_it_says_where_the_crop_lies_in_the_frame(class_id):
    header = source(1)
    what = shown(header, class_id=class_id)
    ds = capture(ANALYSIS, header, what)
    found = re.search(r"\[crop x (\d+)\.\.(\d+) y (\d+)\.\.(\d+) of (\d+) x (\d+)\]$", ds.DerivationDescription)
    x0, x1, y0, y1, columns, rows = map(int, found.groups())
    assert ((x0, y0, x1, y1), columns, rows) == (what.box, header.Columns, header.Rows)
    lit = capture(ANALYSIS, header, what).pixel_array.any(axis=2)
    assert lit[y0:y1, x0:x1].any()
    assert len(ds.DerivationDescription) <= 1024  # VR ST


def test_references_lead_to_the_source():
    header = source(1)
    ds = capture(ANALYSIS, header, shown(header))
    (item,) = ds.SourceImageSequence
    assert (item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID) == (header.SOPClassUID, header.SOPInstanceUID)
    assert item.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
    (series,) = ds.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == header.SeriesInstanceUID
    assert series.ReferencedInstanceSequence[0].ReferencedSOPInstanceUID == header.SOPInstanceUID


@pytest.mark.parametrize(
    ("stated", "side", "expected"),
    [(None, None, ("CHEST", None)), ("LUNG", None, ("CHEST", None)), ("LUNG", "R", ("LUNG", "R")),
     ("CHEST", "L", ("CHEST", None)), ("ABDOMEN", None, ("ABDOMEN", None))],
)  # fmt: skip
def test_the_body_part_never_lacks_a_laterality(stated, side, expected):
    header = source(1)
    if stated:
        header.BodyPartExamined = stated
    if side:
        header.Laterality = side
    ds = capture(ANALYSIS, header, shown(header))
    assert (ds.BodyPartExamined, ds.get("Laterality")) == expected


def test_the_uterus_is_unpaired():
    header = source(1)
    pictures = dataclasses.replace(shown(header), class_id="endometrial_polyp")
    assert capture(uterus([header]).analysis, header, pictures).BodyPartExamined == "UTERUS"


def lossy(header, ratio=None, method=None, syntax=None):
    if ratio is not None:
        header.LossyImageCompression, header.LossyImageCompressionRatio = "01", ratio
    if method is not None:
        header.LossyImageCompressionMethod = method
    if syntax:
        header.file_meta = FileMetaDataset()
        header.file_meta.TransferSyntaxUID = syntax
    return header


def test_lossy_history_is_carried_on_even_when_stored_raw():
    header = lossy(source(1), 12.5, "ISO_10918_1")
    ds = read_back(capture(ANALYSIS, header, shown(header)))
    assert (ds.LossyImageCompression, float(ds.LossyImageCompressionRatio), ds.LossyImageCompressionMethod) == (
        "01", 12.5, "ISO_10918_1",
    )  # fmt: skip


def test_our_own_loss_is_added_to_the_history():
    header = lossy(source(2, frames=4), 12.5, "ISO_15444_1")
    ds = read_back(capture(ANALYSIS, header, shown(header)))
    assert list(ds.LossyImageCompressionMethod) == ["ISO_15444_1", "ISO_10918_1"]
    assert len(ds.LossyImageCompressionRatio) == 2
    assert float(ds.LossyImageCompressionRatio[0]) == 12.5
    assert float(ds.LossyImageCompressionRatio[1]) > 2


def test_a_lossy_source_that_does_not_say_so_is_known_by_its_transfer_syntax():
    header = lossy(source(1), syntax="1.2.840.10008.1.2.4.50")
    ds = read_back(capture(ANALYSIS, header, shown(header)))
    assert (ds.LossyImageCompression, ds.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
    assert "LossyImageCompressionRatio" not in ds


def test_an_unknown_earlier_ratio_is_not_made_up():
    header = lossy(source(2, frames=4), syntax="1.2.840.10008.1.2.4.50")
    ds = read_back(capture(ANALYSIS, header, shown(header)))
    assert ds.LossyImageCompressionMethod == "ISO_10918_1"  # ours; ratio and method stay of one length
    assert float(ds.LossyImageCompressionRatio) > 2


@pytest.mark.parametrize(
    ("values", "expected"),
    [({"FrameTime": None, "FrameTimeVector": [0, 40, 40, 40]}, 80), ({"FrameTime": None, "CineRate": 25}, 80),
     ({"FrameTime": None, "RecommendedDisplayFrameRate": 50}, 40), ({"FrameTime": None}, 80)],
)  # fmt: skip
def test_speed_is_found_where_the_source_states_it(values, expected):
    header = source(2, frames=4, **values)
    assert float(capture(ANALYSIS, header, shown(header, limit=2)).FrameTime) == pytest.approx(expected)


@pytest.mark.parametrize("keyword", TYPE_2)
def test_a_source_without_a_type_2_attribute_gets_it_empty(keyword):
    header = source(1, **{keyword: None})
    ds = read_back(capture(ANALYSIS, header, shown(header)))
    assert keyword in ds
    assert not ds[keyword].value


def test_one_frame_of_a_multi_frame_class_is_a_still():
    header = source(1, SOPClassUID="1.2.840.10008.5.1.4.1.1.3.1", NumberOfFrames=1)
    assert capture_class(header) == "1.2.840.10008.5.1.4.1.1.7"


def test_pictures_of_another_image_are_refused():
    header = source(1)
    with pytest.raises(ValueError, match="pictures"):
        capture(ANALYSIS, source(1, rows=481), shown(header))
    with pytest.raises(ValueError, match="outside"):
        capture(ANALYSIS, header, dataclasses.replace(shown(header), frame_numbers=(2,)))
