import shutil
import subprocess
from io import BytesIO

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit

from dicom_ai.instance import US_IMAGE, US_MULTI_FRAME, Instance
from dicom_ai.simulate.exam import Exam, Shot, demo_content, exam
from dicom_ai.simulate.patients import NAMES, patient_of
from dicom_ai.simulate.phantom import LUNG_SIGNS, UTERINE_LABELS

CONTENT = (
    Shot(frozenset({"a_lines"})),
    Shot(frozenset({"consolidation"}), rgb=True),
    Shot(frozenset({"b_lines"}), frames=3),
    Shot(frozenset({"b_lines"}), frames=2, compressed=False),
    Shot(frozenset(), kind="air"),
)


@pytest.fixture(scope="module")
def lung_exam() -> Exam:
    return exam("lung", seed=3, patient=patient_of(3), content=CONTENT)


def encoded(ds: Dataset) -> bytes:
    out = BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


def test_the_same_seed_makes_the_same_bytes(lung_exam):
    again = exam("lung", seed=3, patient=patient_of(3), content=CONTENT)
    assert [encoded(ds) for ds in again] == [encoded(ds) for ds in lung_exam]
    other = exam("lung", seed=4, patient=patient_of(3), content=CONTENT)
    assert not {ds.SOPInstanceUID for ds in other} & {ds.SOPInstanceUID for ds in lung_exam}


def test_stills_and_clips_are_written_as_the_scanner_writes_them(lung_exam):
    seen = [
        (ds.SOPClassUID, ds.file_meta.TransferSyntaxUID, ds.PhotometricInterpretation, ds.Rows, ds.Columns)
        for ds in lung_exam
    ]
    assert seen == [
        (US_IMAGE, ExplicitVRLittleEndian, "MONOCHROME2", 873, 1164),
        (US_IMAGE, ExplicitVRLittleEndian, "RGB", 873, 1164),
        (US_MULTI_FRAME, JPEGBaseline8Bit, "YBR_FULL_422", 802, 1054),
        (US_MULTI_FRAME, ExplicitVRLittleEndian, "MONOCHROME2", 802, 1054),
        (US_IMAGE, ExplicitVRLittleEndian, "MONOCHROME2", 873, 1164),
    ]
    assert all(ds.Manufacturer == "GE Healthcare" and ds.ManufacturerModelName == "LOGIQE9" for ds in lung_exam)
    assert not any("BodyPartExamined" in ds for ds in lung_exam)
    assert len({ds.StudyInstanceUID for ds in lung_exam}) == 1
    assert all(uid.startswith("2.25.") for ds in lung_exam for uid in (ds.StudyInstanceUID, ds.SOPInstanceUID))


def test_the_region_is_stated_and_measures_true(lung_exam):
    for ds in lung_exam:
        (region,) = ds.SequenceOfUltrasoundRegions
        assert (region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags) == (1, 1, 0)
        box = [region[f"RegionLocation{m}"].value for m in ("MinX0", "MinY0", "MaxX1", "MaxY1")]
        assert box == ([2, 109, 1057, 805] if ds.Rows == 873 else [0, 40, 1053, 736])
        # The reference pixel is the middle of the probe surface: from there the depth reaches the lowest row.
        mask = lung_exam.truth[ds.SOPInstanceUID].sector_mask
        lowest = np.flatnonzero(mask.any(axis=1))[-1] - region.RegionLocationMinY0
        depth_cm = (lowest - region.ReferencePixelY0) * region.PhysicalDeltaY
        assert 7 < depth_cm < 14.2


def test_the_pixels_decode_to_what_was_drawn(lung_exam):
    clip = lung_exam.objects[2]
    pixels = pydicom.dcmread(BytesIO(encoded(clip))).pixel_array
    assert pixels.shape == (3, 802, 1054, 3)
    uncompressed = lung_exam.objects[3].pixel_array
    assert uncompressed.shape == (2, 802, 1054)
    spread = pixels.max(axis=-1).astype(int) - pixels.min(axis=-1)
    assert spread.max() <= 6  # grey stays grey through YBR
    for ds in lung_exam:
        mask = lung_exam.truth[ds.SOPInstanceUID].sector_mask
        frame = ds.pixel_array.reshape(-1, ds.Rows, ds.Columns, ds.SamplesPerPixel)[0, :, :, 0]
        assert frame[mask].mean() > 3 * frame[~mask].mean() or ds.InstanceNumber == 5


def test_clips_state_their_timing(lung_exam):
    for ds in lung_exam.objects[2:4]:
        assert ds.FrameIncrementPointer == 0x00181063
        instance = Instance.of(ds, ds.file_meta.TransferSyntaxUID)
        assert (instance.frames, instance.frame_time_ms) == (ds.NumberOfFrames, 33.33)
        assert instance.is_ultrasound
        assert instance.taken_at is not None


def test_the_truth_stands_beside_the_objects_and_not_in_them(lung_exam):
    labels = [lung_exam.truth[ds.SOPInstanceUID].labels for ds in lung_exam]
    assert labels == [shot.labels for shot in CONTENT]
    assert lung_exam.truth[lung_exam.objects[4].SOPInstanceUID].kind == "air"
    words = {w.lower() for name in (*LUNG_SIGNS, *UTERINE_LABELS) for w in (name, name.replace("_", " "))}
    for ds in lung_exam:
        header = "\n".join(str(e.value) for e in ds.iterall() if e.keyword != "PixelData").lower()
        assert not [word for word in words if word in header]


def test_uterine_exam_is_known_by_its_body_part():
    made = exam(
        "uterus", seed=1, patient=patient_of(1, sex="F"), layout="other-vendor", content=demo_content("uterus", 1)
    )
    assert len(made) == 3
    for ds in made:
        assert (ds.BodyPartExamined, ds.StudyDescription) == ("UTERUS", "Transvaginal ultrasound")
        assert (ds.Rows, ds.Columns, ds.PatientSex) == (768, 1024, "F")


def test_demo_lung_study_shows_every_sign_and_a_clip():
    for seed in range(4):
        content = demo_content("lung", seed)
        assert {label for shot in content for label in shot.labels} == set(LUNG_SIGNS)
        assert [shot.frames > 1 for shot in content] == [False] * 4 + [True]


def test_patients_are_invented_distinct_and_kept_out_of_repr():
    patients = [patient_of(seed) for seed in range(50)]
    assert len({patient.id for patient in patients}) == 50
    assert {patient.name for patient in patients} <= set(NAMES)
    assert any("=" in patient.name for patient in patients)
    for patient in patients:
        assert patient.screen_name.isascii()
        assert patient.id not in repr(patient)
        assert patient.name not in repr(patient)


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed")
def test_dciodvfy_finds_no_error(lung_exam, tmp_path):
    womb = exam("uterus", seed=2, patient=patient_of(2, sex="F"), content=demo_content("uterus", 2)[:1])
    for ds in (*lung_exam, *womb):
        path = tmp_path / "object.dcm"
        path.write_bytes(encoded(ds))
        said = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
        assert "Error" not in said.stdout + said.stderr, said.stderr
