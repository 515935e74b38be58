"""The proof of exported bytes: it holds for what is sound, fails for each thing that is not, and does not cry wolf."""

from io import BytesIO
from time import perf_counter

import numpy as np
import pytest
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset

from dicom_ai.crop.export import build as building
from dicom_ai.crop.export import values
from dicom_ai.crop.export.build import build
from dicom_ai.crop.export.proof import Made, prove
from dicom_ai.crop.export.search import in_pixels
from dicom_ai.crop.export.walk import NotStrict, walk
from dicom_ai.kept import CropOutcome, Kept
from tests.exports import BLIND, ID, NAME, SITE, Reader, pixels, source


def proof(data, *, header=None, kept=None, reader=BLIND):
    header = header if header is not None else source(3)
    return prove(Made(data, header, kept or pixels(3), SITE), reader)


def sound():
    return build(source(3), pixels(3), SITE)


def changed(change, data=None):
    """Exported bytes after another program has changed the data set."""
    ds = dcmread(BytesIO(data or sound()))
    change(ds)
    buffer = BytesIO()
    dcmwrite(buffer, ds, enforce_file_format=True)
    return buffer.getvalue()


def put(keyword, vr, value):
    return lambda ds: ds.add_new(keyword, vr, value)


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_sound_object_is_proven(frames, channels):
    kept = pixels(frames, channels, blanked=((30, 20, 35, 24),))
    header = source(frames)
    assert prove(Made(build(header, kept, SITE), header, kept, SITE), BLIND) == ()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (lambda: b"II*\0" + sound()[4:], "preamble"),
        (lambda: sound()[:128] + b"dicm" + sound()[132:], "prefix"),
        (lambda: sound() + b"\0\0", "trailing_bytes"),
        (lambda: sound() + NAME.encode(), "order"),
        (lambda: sound() + b"\xfc\xff\xfc\xffOB\0\0\x02\0\0\0\0\0", "unexpected_attribute"),
        (lambda: sound()[:-2], "length"),
        (lambda: sound()[:200], "trailing_bytes"),
        (lambda: b"", "preamble"), (lambda: bytes(132), "prefix"),
        (lambda: changed(lambda ds: setattr(ds.file_meta, "PrivateInformation", b"AB")), "unexpected_attribute"),
    ],
)  # fmt: skip
def test_bytes_of_another_form_fail(data, code):
    assert proof(data()) == (code,)


ICON = Dataset()
ICON.Rows = 1


@pytest.mark.parametrize(
    ("tag", "vr", "value"),
    [
        (0x00090010, "LO", "MUSTER"), (0x7FE10010, "LO", "MUSTER"),
        (0x60003000, "OW", b"\1\2"), (0x50003000, "OW", b"\1\2"),
        (0x00880200, "SQ", [ICON]), (0x00101010, "AS", "063Y"), (0x00080080, "LO", "Nowhere Clinic"),
        (0x00081010, "SH", "STATION"), (0x00204000, "LT", "comment"), (0x7FE00001, "OV", b"\0" * 8),
    ],
)  # fmt: skip
def test_any_attribute_outside_the_list_fails(tag, vr, value):
    assert proof(changed(put(tag, vr, value))) == ("unexpected_attribute",)


def test_an_attribute_inside_an_item_must_be_listed_for_it():
    def change(ds):
        ds.SequenceOfUltrasoundRegions[0].PatientID = "X"

    assert proof(changed(change)) == ("unexpected_attribute",)


@pytest.mark.parametrize(
    "keyword", ["PatientID", "BurnedInAnnotation", "PixelData", "AccessionNumber", "SOPInstanceUID"]
)
def test_what_every_object_has_must_be_there(keyword):
    data = sound()
    ds = dcmread(BytesIO(data))
    del ds[keyword]
    buffer = BytesIO()
    dcmwrite(buffer, ds)
    assert proof(buffer.getvalue()) == ("missing_attribute",)


@pytest.mark.parametrize(
    ("keyword", "value", "codes"),
    [
        ("PatientID", ID, {"not_replaced", "identity"}), ("PatientName", NAME, {"not_replaced", "identity"}),
        ("PatientName", "Another^Name", {"value"}), ("StudyDate", "20240304", {"not_replaced"}),
        ("StudyDate", "20240303", {"value"}), ("StudyInstanceUID", "1.2.3.77.2", {"not_replaced", "identity"}),
        ("AccessionNumber", "ACC7719034", {"value", "identity"}), ("PatientBirthDate", "19610518", {"value"}),
        ("BodyPartExamined", "MUSTER", {"value"}), ("Manufacturer", "Nowhere Clinic", {"value", "identity"}),
        ("ManufacturerModelName", "OTHER", {"value"}), ("InstanceNumber", 123456, {"value"}),
        ("DeidentificationMethod", "by hand", {"value"}), ("BurnedInAnnotation", "YES", {"value"}),
        ("Modality", "CT", {"value"}), ("FrameTime", 1e9, {"value"}), ("Rows", 5, {"value"}),
        ("PatientSex", "F", {"value"}),
        ("PhotometricInterpretation", "RGB", {"value"}), ("ImageType", ["ORIGINAL", "PRIMARY"], {"value"}),
        ("LossyImageCompressionMethod", "MUSTER", {"value"}),
    ],
)  # fmt: skip
def test_a_value_that_the_list_does_not_allow_fails(keyword, value, codes):
    assert set(proof(changed(lambda ds: setattr(ds, keyword, value)))) == codes


def test_a_region_outside_the_picture_fails():
    def change(ds):
        ds.SequenceOfUltrasoundRegions[0].RegionLocationMaxX1 = 9999

    assert proof(changed(change)) == ("value",)


def touched(index, value):
    """Exported bytes with one pixel byte changed, counted from the first one."""
    data = bytearray(sound())
    (found,) = [one for one in walk(bytes(data)) if one.path == (0x7FE00010,)]
    data[found.begin + index] = value
    return bytes(data)


def test_a_pixel_outside_the_shape_or_another_one_inside_fails():
    kept = pixels(3)
    outside = np.flatnonzero(kept.frames.reshape(-1) == 0)
    inside = np.flatnonzero(kept.frames.reshape(-1))
    assert set(proof(touched(outside[-1], 1))) == {"pixels_outside", "pixels_differ"}
    assert proof(touched(inside[-1], 0)) == ("pixels_differ",)


def test_a_pixel_that_was_blanked_must_be_zero():
    kept = pixels(3, blanked=((30, 20, 35, 24),))
    data = build(source(3), kept, SITE)
    assert proof(data, kept=kept) == ()
    x0, y0 = kept.outcome.box[:2]
    leaky = Kept(kept.frames.copy(), kept.frame_numbers, kept.outcome)
    leaky.frames[1, 21 - y0, 31 - x0] = 9  # an emission that forgot
    assert "pixels_outside" in proof(build(source(3), leaky, SITE), kept=leaky)


def test_more_or_fewer_pixel_bytes_fail():
    assert proof(changed(lambda ds: put("PixelData", "OB", ds.PixelData + b"\0\0")(ds))) == ("pixel_bytes",)
    assert proof(changed(lambda ds: put("PixelData", "OB", ds.PixelData[:-2])(ds))) == ("pixel_bytes",)


def test_the_byte_that_pads_an_odd_length_must_be_zero():
    header, kept = source(), pixels()
    kept = Kept(kept.frames[:, :, :-1], kept.frame_numbers, kept.outcome)
    odd = kept.frames[:, :29]
    assert odd.size % 2 == 1
    kept = Kept(np.ascontiguousarray(odd), kept.frame_numbers, kept.outcome)
    data = build(header, kept, SITE)
    assert "pixel_bytes" not in prove(Made(data, header, kept, SITE), BLIND)
    assert "pixel_bytes" in prove(Made(data[:-1] + b"J", header, kept, SITE), BLIND)


def test_legible_text_in_the_picture_fails():
    assert proof(sound(), reader=Reader("a reading")) == ("text_found",)


def test_a_builder_that_does_not_replace_is_found_out(monkeypatch):
    def nothing_replaced(header, kept, site):
        found = building.replacements(header, site.keys, "") | {"Manufacturer": "", "ManufacturerModelName": ""}
        return {**found, "PatientID": str(header.PatientID), "PatientName": str(header.PatientName)}

    monkeypatch.setattr(building, "replaced", nothing_replaced)
    monkeypatch.setattr(values, "replaced", nothing_replaced)
    assert set(proof(build(source(3), pixels(3), SITE))) == {"not_replaced", "identity"}


def test_an_id_among_the_numbers_fails():
    header = source(3, PatientID="4471", InstanceNumber=4471)
    assert proof(build(header, pixels(3), SITE), header=header) == ("identity",)


@pytest.mark.parametrize("codec", ["utf-8", "latin-1", "utf-16-le", "utf-16-be", "gb18030"])
@pytest.mark.parametrize("case", [str, str.upper, str.lower, str.title])
def test_a_string_inside_the_pixels_fails(codec, case):
    header = source(PatientName="Østergårdsen^Quirina")
    raw = case("Østergårdsen").encode(codec)
    kept = pixels(1, 3)
    flat = kept.frames.reshape(-1)
    inside = np.flatnonzero(kept.frames.any(axis=3).reshape(-1)) * 3
    for start in (inside[len(inside) // 2], inside[len(inside) // 2] + 1):  # at even and odd places
        spoilt = Kept(kept.frames.copy(), kept.frame_numbers, kept.outcome)
        spoilt.frames.reshape(-1)[start : start + len(raw)] = np.frombuffer(raw, np.uint8)
        assert "identity_in_pixels" in prove(Made(build(header, spoilt, SITE), header, spoilt, SITE), BLIND)
    assert len(flat) > start + len(raw)


def test_the_search_in_pixels_finds_what_lies_on_the_seam_of_its_pieces(monkeypatch):
    array = np.zeros((1 << 24) + 64, np.uint8)
    for start in ((1 << 24) - 5, (1 << 24) - 1, 1 << 24, len(array) - 12):
        array[:] = 0
        array[start : start + 12] = np.frombuffer(b"Quirina^Test", np.uint8)
        assert in_pixels(array, [b"quirina^test"])
        array[start] = 0
        assert not in_pixels(array, [b"quirina^test"])


@pytest.mark.parametrize(
    "changes",
    [
        {"PatientName": "Basic Application^Confidentiality Profile"}, {"PatientName": "MODIFIED^DERIVED"},
        {"InstitutionName": "dicom-ai export 1: scan area, listed attributes, keyed hashes"},
        {"PatientID": "MONOCHROME2"}, {"InstitutionName": "LOGIQE9 ISO_10918_1", "LossyImageCompression": "01",
         "LossyImageCompressionMethod": "ISO_10918_1", "LossyImageCompressionRatio": "12.125"},
        {"PatientID": "30"}, {"PatientName": "Us^Lo"}, {"StudyID": "1", "AccessionNumber": "7"},
        {"InstitutionName": "33.3333333333", "FrameTime": "33.3333333333"}, {"PatientID": "0000000000"},
        {"StudyDate": "20240304", "PatientBirthDate": "20230901"}, {"PatientID": ""}, {"PatientName": "=="},
    ],
    ids=str,
)  # fmt: skip
def test_ordinary_words_do_not_cry_wolf(changes):
    header, kept = source(3, **changes), pixels(3)
    kept.frames[kept.frames > 0] = 48  # an even grey: zeros in ASCII
    assert prove(Made(build(header, kept, SITE), header, kept, SITE), BLIND) == ()


@pytest.mark.parametrize(
    ("cut", "code"),
    [
        (lambda d: d[:140] + b"\xff\xff\xff\x7f" + d[144:], "meta_length"),
        (lambda d: d[:132] + d[144:], "meta_length"),
        (lambda d: d[:132], "meta_length"),
    ],
)
def test_file_meta_information_must_add_up(cut, code):
    with pytest.raises(NotStrict, match=code):
        walk(cut(sound()))


@pytest.mark.verify
def test_cost_of_an_export(figure):
    """A clip as a LOGIQ E9 makes them; best of three, one core."""
    frames = np.random.default_rng(3).integers(1, 256, (136, 590, 860, 1), np.uint8)
    keep = (((0.0, 0.0), (860.0, 0.0), (860.0, 590.0), (0.0, 590.0)),)
    kept = Kept(
        frames, tuple(range(1, 137)), CropOutcome("cropped", None, 590, 860, 136, keep=keep, box=(0, 0, 860, 590))
    )
    header = source(136)
    built, proven = [], []
    for _ in range(3):
        begin = perf_counter()
        data = build(header, kept, SITE)
        built.append(perf_counter() - begin)
        begin = perf_counter()
        assert prove(Made(data, header, kept, SITE), None) == ()
        proven.append(perf_counter() - begin)
    megabytes = frames.nbytes / 1e6
    figure(
        "de-identified object without the reading of text: build; proof",
        f"{min(built) / 136 * 1e3:.1f} ms; {min(proven) / 136 * 1e3:.1f} ms per frame ({megabytes:.0f} MB, 136 frames)",
        "10 ms per later frame, crop included",
    )
    assert min(built) / 136 < 0.010
