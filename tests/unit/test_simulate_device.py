"""Scanners of five makers: what they write is what the makers write, valid, croppable, in the patient's own letters."""

import shutil
import subprocess
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from dicom_ai.charset import terms_of, text_of
from dicom_ai.crop.cropper import Cropper
from dicom_ai.errors import SettingsError
from dicom_ai.kept import mask_of
from dicom_ai.report.header import part10
from dicom_ai.simulate.device import device, devices
from dicom_ai.simulate.exam import Exam, Shot, exam
from dicom_ai.simulate.patients import CHARACTER_SETS, NAMES, patient_of
from dicom_ai.simulate.screen import layouts
from tests.workplace import small_cropper

MAKERS = [name for name in devices() if name != "logiq-e9"]
STILL, CLIP = Shot(frozenset({"b_lines"})), Shot(frozenset({"b_lines"}), frames=2)


@pytest.fixture(scope="module")
def exams() -> dict[str, Exam]:
    patient = patient_of(4, charset="ISO_IR 192")  # dciodvfy knows neither GBK nor GB18030
    return {name: exam("lung", seed=4, patient=patient, layout=name, content=(STILL, CLIP)) for name in MAKERS}


def read(ds: Dataset) -> Dataset:
    return pydicom.dcmread(BytesIO(part10(ds)))


@pytest.mark.parametrize(
    ("name", "still", "clip", "said"),
    [
        ("voluson-e10", ("JPEGBaseline8Bit", "YBR_FULL_422"), ("JPEGBaseline8Bit", "YBR_FULL_422"), None),
        ("epiq-7c", ("JPEGLosslessSV1", "MONOCHROME2"), ("ExplicitVRLittleEndian", "MONOCHROME2"), "NO"),
        ("aplio-i800", ("JPEGBaseline8Bit", "YBR_FULL_422"), ("JPEGBaseline8Bit", "YBR_FULL_422"), None),
        ("samsung-ws80a", ("ExplicitVRLittleEndian", "RGB"), ("JPEGBaseline8Bit", "YBR_FULL_422"), None),
        ("mindray-nuewa-r9s", ("RLELossless", "YBR_FULL"), ("JPEGBaseline8Bit", "YBR_FULL_422"), "YES"),
    ],
)
def test_each_maker_encodes_and_claims_as_it_does(exams, name, still, clip, said):
    one, two = map(read, exams[name])
    assert [(ds.file_meta.TransferSyntaxUID.keyword, ds.PhotometricInterpretation) for ds in (one, two)] == [
        still,
        clip,
    ]
    assert one.get("BurnedInAnnotation") == said
    assert (one.Manufacturer, one.ManufacturerModelName) == (device(name).manufacturer, device(name).model)
    assert len({exams[other].study_instance_uid for other in MAKERS}) == len(MAKERS)


def test_habits_that_trip_programs(exams):
    epiq, mindray, voluson = (read(exams[name].objects[0]) for name in ("epiq-7c", "mindray-nuewa-r9s", "voluson-e10"))
    (region,) = epiq.SequenceOfUltrasoundRegions
    assert "ReferencePixelX0" not in region
    box = [region[f"RegionLocation{m}"].value for m in ("MinX0", "MinY0", "MaxX1", "MaxY1")]
    assert box == [14, 38, 1010, 758]
    (region,) = mindray.SequenceOfUltrasoundRegions
    assert region.RegionLocationMaxY1 == mindray.Rows  # one past the last row
    assert mindray.PlanarConfiguration == 1
    assert "Voluson" not in voluson.ManufacturerModelName
    padded = part10(exams["epiq-7c"].objects[0])
    uid = exams["epiq-7c"].study_instance_uid.encode()
    assert (uid + b" " if len(uid) % 2 else uid) in padded


@pytest.mark.parametrize(("name", "tag", "scale"), [("voluson-e10", 0x7FE11002, 1), ("epiq-7c", 0x200D100B, 2)])
def test_the_screen_lies_in_a_private_element_once_more(exams, name, tag, scale):
    ds = read(exams[name].objects[0])
    rows, columns = -(-ds.Rows // scale), -(-ds.Columns // scale)
    copy = np.frombuffer(ds[tag].value[: rows * columns], np.uint8).reshape(rows, columns)
    shown = ds.pixel_array if ds.pixel_array.ndim == 2 else ds.pixel_array[..., 0]
    assert np.abs(copy.astype(int) - shown[::scale, ::scale]).mean() < 6
    band = layouts()[device(name).still].region[1] // scale - 4
    assert (copy[:band] > 150).sum() > 100  # the name is legible in it


@pytest.fixture(scope="module")
def cropper():
    with small_cropper() as made:
        yield made


@pytest.mark.parametrize("name", MAKERS)
def test_the_crop_keeps_the_sector_and_no_text(exams, cropper: Cropper, tmp_path: Path, name):
    for number, ds in enumerate(exams[name]):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(part10(ds))
        outcome, _ = cropper.crop(path, 4)
        assert outcome.status == "cropped", outcome.reason
        sector = exams[name].truth[ds.SOPInstanceUID].sector_mask
        mask = mask_of(outcome.keep, outcome.rows, outcome.columns)
        assert (mask & sector).sum() / (mask | sector).sum() > 0.93
        beyond = np.argwhere(mask & ~sector)
        assert len(beyond) < 0.002 * sector.sum()  # a hair of JPEG fringe, never a letter


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed")
def test_dciodvfy_finds_no_error(exams, tmp_path):
    for name in MAKERS:
        for ds in exams[name]:
            path = tmp_path / "object.dcm"
            path.write_bytes(part10(ds))
            said = subprocess.run(
                ["dciodvfy", str(path)], capture_output=True, text=True, check=False, errors="replace"
            )
            lines = [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")]
            assert not lines, (name, lines)


def test_an_unknown_device_or_character_set_is_refused_with_the_list():
    with pytest.raises(SettingsError, match="logiq-e9, voluson-e10, epiq-7c, aplio-i800, samsung-ws80a, mindray"):
        device("vivid-e95")
    with pytest.raises(SettingsError, match="ISO 2022 IR 87"):
        patient_of(1, charset="EBCDIC")


@pytest.mark.parametrize("charset", CHARACTER_SETS)
def test_a_patient_is_written_in_the_character_set_asked_for(charset):
    patient = patient_of(3, charset=charset)
    assert not patient.name.isascii()
    assert patient.terms[-1] == charset
    (ds,) = exam("lung", seed=1, patient=patient, layout="epiq-7c", content=(STILL,))
    written = read(ds)
    raw = written.get_item("PatientName").value
    assert text_of(raw, terms_of(written.SpecificCharacterSet), "PN") == patient.name
    assert "Lung ultrasound" in written.StudyDescription


def test_patients_meet_every_script_by_their_seed():
    patients = [patient_of(seed) for seed in range(120)]
    assert {patient.name for patient in patients} == set(NAMES)
    assert {patient.terms[-1] for patient in patients} == set(CHARACTER_SETS) - {"ISO 2022 IR 58"}
