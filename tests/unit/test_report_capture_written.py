"""What stands in the store as a capture, for sources as their devices write them: row by row, and pixel by pixel.

The pictures drawn are caught between drawing and encoding, so that what is decoded is compared with what was meant.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.pixels import pixel_array

from dicom_ai import reporting
from dicom_ai.crop.cropper import Cropper
from dicom_ai.kept import CropOutcome, mask_of
from dicom_ai.report.band import Block, _drawn, place
from dicom_ai.report.checklist.captures import captured
from dicom_ai.report.header import part10
from dicom_ai.report.legend import legend
from dicom_ai.report.overlay import full_frames
from dicom_ai.simulate.device import devices
from dicom_ai.simulate.exam import Shot, exam
from dicom_ai.simulate.patients import patient_of
from dicom_ai.store import tables
from tests.builders_report import lung, sector, source
from tests.workplace import small_cropper, tiny, workplace

torch.set_num_threads(1)
FRAMES, LIMIT_STRIDE = 6, 2
"""The tiny model's limit is four frames: of six every second one is analysed."""
DEVICES = [name if name in ("logiq-e9", "voluson-e10") else pytest.param(name, marks=pytest.mark.verify)
           for name in sorted(devices())]  # fmt: skip


@dataclass
class Made:
    """One patient's study: sources, captures and drawn pictures by the source's SOP Instance UID."""

    sources: dict[str, Dataset]
    captures: dict[str, Dataset] = field(default_factory=dict)
    drawn: dict[str, npt.NDArray[np.uint8]] = field(default_factory=dict)
    outcomes: dict[str, CropOutcome] = field(default_factory=dict)


@pytest.fixture(scope="module")
def cropper() -> Iterator[Cropper]:
    with small_cropper() as one:
        yield one


@pytest.fixture(scope="module", params=DEVICES)
def both(request: pytest.FixtureRequest, cropper: Cropper, tmp_path_factory: pytest.TempPathFactory) -> list[Made]:
    """The same pictures of two patients: only what the device writes beside the scan differs."""
    return [made(request.param, patient, cropper, tmp_path_factory.mktemp("study")) for patient in (1, 2)]


def made(device: str, patient: int, cropper: Cropper, folder: Path) -> Made:
    shots = [Shot(frozenset({"b_lines"})), Shot(frozenset({"b_lines"}), frames=FRAMES)]
    study = exam("lung", seed=11, patient=patient_of(patient), layout=device, content=shots)
    work = workplace(folder / "data", cropper, [tiny(folder / "model")])
    pictures: list[npt.NDArray[np.uint8]] = []

    def caught(*given: object, **named: object) -> npt.NDArray[np.uint8]:
        pictures.append(full_frames(*given, **named))  # type: ignore[arg-type]
        return pictures[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reporting, "full_frames", caught)
        key = work.answered(*study)
    rows = [row for row in work.rows(tables.results) if row.kind == "capture" and row.analysis == key]
    found = [dcmread(BytesIO(work.here.files.path(row.digest).read_bytes())) for row in rows]
    found.sort(key=lambda ds: ds.InstanceNumber)
    names = {row.digest: row.sop_uid for row in work.rows(tables.objects)}
    one = Made({str(ds.SOPInstanceUID): dcmread(BytesIO(part10(ds))) for ds in study})
    for ds, picture in zip(found, pictures, strict=True):
        uid = str(ds.SourceImageSequence[0].ReferencedSOPInstanceUID)
        one.captures[uid], one.drawn[uid] = ds, picture
    one.outcomes = {names[row.object]: CropOutcome.of(row.row) for row in work.rows(tables.crops) if row.row["box"]}
    assert one.captures, "the crop turned every image away"
    return one


def test_every_row_of_a_capture_is_as_it_must_be(both: list[Made]) -> None:
    for one in both:
        for uid, ds in one.captures.items():
            assert list(captured(ds, one.sources)) == []
            assert (ds.Rows, ds.Columns) == (one.sources[uid].Rows, one.sources[uid].Columns)
            assert "ICCProfile" not in ds


def test_what_is_decoded_is_what_was_drawn(both: list[Made]) -> None:
    for uid, ds in both[0].captures.items():
        drawn = both[0].drawn[uid]
        decoded = pixel_array(ds).reshape(drawn.shape)
        if ds.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1":
            assert np.array_equal(decoded, drawn)
        else:
            error = ((decoded.astype(float) - drawn) ** 2).mean(axis=(1, 2, 3))
            assert (10 * np.log10(255**2 / error)).min() >= 30


def test_a_clip_holds_the_analysed_frames_at_their_pace(both: list[Made]) -> None:
    for uid, ds in both[0].captures.items():
        origin = both[0].sources[uid]
        if origin.get("NumberOfFrames", 1) == 1:
            assert "NumberOfFrames" not in ds
            continue
        assert ds.NumberOfFrames == FRAMES // LIMIT_STRIDE
        assert list(ds.SourceImageSequence[0].ReferencedFrameNumber) == [1, 3, 5]
        assert float(ds.FrameTime) == pytest.approx(LIMIT_STRIDE * float(origin.FrameTime))


def test_what_the_source_lost_is_carried_on(both: list[Made]) -> None:
    for uid, ds in both[0].captures.items():
        origin = both[0].sources[uid]
        ours = 1 if ds.file_meta.TransferSyntaxUID.is_compressed else 0
        if origin.get("LossyImageCompression") == "01":
            methods = ds.LossyImageCompressionMethod
            methods = [methods] if isinstance(methods, str) else list(methods)
            ratios = np.atleast_1d(np.array(ds.LossyImageCompressionRatio, float))
            assert methods == [origin.LossyImageCompressionMethod] + ["ISO_10918_1"] * ours
            assert ratios[0] == float(origin.LossyImageCompressionRatio)
            assert len(ratios) == len(methods)
        assert ds.LossyImageCompression == ("01" if ours or origin.get("LossyImageCompression") == "01" else "00")


def test_nothing_of_the_patient_is_left_in_the_pixels(both: list[Made]) -> None:
    """Two patients, one picture: the sources' pixels differ, the captures' are the same to the last byte."""
    mine, other = both
    pairs = zip(mine.captures, other.captures, strict=True)
    for uid, same in pairs:
        assert mine.sources[uid].PatientID != other.sources[same].PatientID
        assert mine.sources[uid].PixelData != other.sources[same].PixelData
        assert np.array_equal(mine.drawn[uid], other.drawn[same])
        assert mine.captures[uid].PixelData == other.captures[same].PixelData


def test_outside_the_scan_there_is_nothing_but_our_words(both: list[Made]) -> None:
    """What a device paints beside the scan is black or lies under our own letters, which every frame has alike."""
    for uid, drawn in both[0].drawn.items():
        outcome = both[0].outcomes[uid]
        outside = ~mask_of(outcome.keep, outcome.rows, outcome.columns)
        assert (drawn[:, outside] == drawn[0, outside]).all()
        lit = drawn[0].any(axis=2) & outside
        frames = int(both[0].sources[uid].get("NumberOfFrames", 1))
        screen = both[0].sources[uid].pixel_array.reshape(frames, *outside.shape, -1)[0].max(axis=-1)
        written = (screen > 60) & outside
        assert written.sum() > 2000
        assert lit.sum() < 0.1 * outside.sum()
        assert (written & ~lit).sum() > 0.5 * written.sum()


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("half", [20.0, 28.0, 35.0, 42.0])
@pytest.mark.parametrize(("rows", "columns"), [(873, 1164), (480, 640), (240, 320)])
def test_the_warning_stands_whole_beside_a_sector(rows, columns, half, language) -> None:
    content = lung([source(1)], language)
    scan = mask_of((sector(rows, columns, half),), rows, columns)
    blocks = legend(content.analysis, content.findings, (0.1, 0.9, 0.7, 0.1), class_id="b_lines", is_assessable=True)
    placed = place(blocks, scan)
    assert len(placed) == 2
    assert np.array_equal(placed[0][0], _alone(blocks[0], placed[0][0].shape[:2]))
    for picture, (x, y) in placed:
        under = scan[y : y + picture.shape[0], x : x + picture.shape[1]]
        assert under.shape == picture.shape[:2]
        assert not under.any()


def _alone(block: Block, size: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """The whole block in the one form, of all its sizes and lines, that has this size in pixels."""
    forms = (_drawn(block, letters, lines) for letters in range(40, 8, -1) for lines in range(1, len(block.parts) + 1))
    return next(form for form in forms if form.shape[:2] == size)


def test_what_does_not_fit_is_left_out_whole_and_never_cut() -> None:
    """A number cut off by the scan area would read as another one."""
    block = Block(("Heat: X 93.1 %", "A 2.0 %", "B 71.5 %"), (255, 255, 255))
    sizes = [_drawn(replace(block, parts=block.parts[:count]), 9, count).shape[:2] for count in (3, 2, 1)]
    for count, (h, w) in zip((3, 2, 1), sizes, strict=True):
        taken = np.ones((h, w), np.bool_)
        taken[:h, :w] = False
        ((picture, origin),) = place([block], taken)
        assert origin == (0, 0)
        assert np.array_equal(picture, _drawn(replace(block, parts=block.parts[:count]), 9, count))
    assert place([block], np.ones((200, 300), np.bool_)) == []
    h, w = sizes[-1]
    assert place([block], np.zeros((h - 1, w), np.bool_)) == []
