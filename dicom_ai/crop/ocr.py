"""Reads text in kept pixels, slowly and with two networks: the proof that nothing legible leaves the patient's study.

PP-OCRv6 (detector and recogniser for Latin and Chinese) out of the wheel of rapidocr, on the processor. Nothing is
downloaded and nothing is reported to anybody. The detector's answer is taken at two levels: at its usual one it calls
whole fields of speckle text and the letters in them are lost; close to certainty they stand alone again. A reader that
cannot read proves nothing, so it reads a line of its own before the first picture. What this is not: the live check of
every frame (`text`), and no promise about letters that a person cannot read.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from dicom_ai.crop.onnx_runtime import onnx_runtime
from dicom_ai.crop.tiles import ENLARGED, SIDE, Frame, Source, Tile, tiles
from dicom_ai.errors import ModelError
from dicom_ai.kept import Box

LEVELS = (0.3, 0.85)
"""Of the detector's probability map: its usual one, and one at which text in speckle stands apart from the speckle."""

LEAST_BOX = 0.5
"""Mean probability within a box for it to be read."""

BARS = {2: 0.9, 3: 0.85, 4: 0.8}
"""Letters and digits read, to the least mean probability at which they count; more count as the last does. Speckle was
read as two letters up to 0.82, three up to 0.78 and four up to 0.72. Measured with one bar of 0.5 instead: 1 % more of
the written lines found, and every fifth clean picture held back."""

EVERY = 8
"""Frames of a clip from one that is read on its own to the next."""

_SAMPLE = "Abc 0123"
_LEAST_SIDE = 10  # pixels, enlarged: letters under 4 pixels of the crop
_LEAST_RATIO = 1.1  # of a box that holds two letters, after the detector widened it


@dataclass(frozen=True)
class Reading:
    """One line of text.

    Attributes:
        text: as read; identity, so it is in no repr and must be in no log.
        score: mean probability of its characters, 0 to 1.
        box: half open, pixels of the crop.
        source: frame index from 0, or "mean", "min", "max" over the clip.
    """

    text: str = field(repr=False)
    score: float
    box: Box
    source: Source

    @property
    def letters(self) -> int:
        """Characters that name: letters, digits, Chinese letters."""
        return sum(character.isalnum() for character in self.text)

    @property
    def counts(self) -> bool:
        """Whether it is text and not speckle that looks like a letter or two."""
        return self.letters >= min(BARS) and self.score >= BARS[min(self.letters, max(BARS))]


class Reader:
    """Reads stills and clips. Networks are loaded with the first picture; not for two threads at once.

    Args:
        threads: of the networks, >= 1.
        every: of a clip every n-th frame is read on its own, beside mean, least and greatest value; >= 1.
    """

    def __init__(self, threads: int = 1, every: int = EVERY) -> None:
        if threads < 1 or every < 1:
            raise ValueError("threads and every are at least 1")
        self._threads, self._every = threads, every
        self._networks: _Networks | None = None

    def find(self, frames: npt.NDArray[np.uint8]) -> tuple[Reading, ...]:
        """Everything legible.

        Args:
            frames: uint8 (T, h, w, C), C 1 or 3 (RGB), kept pixels.

        Returns:
            What counts as text, each line once for each still, frame or picture over time it was read in.

        Raises:
            ValueError: not such an array.
            ModelError: the networks are not there or do not read; never an empty answer instead.
        """
        return tuple(reading for reading in self.guesses(frames) if reading.counts)

    def guesses(self, frames: npt.NDArray[np.uint8]) -> Iterator[Reading]:
        """Everything the networks read, with what they are unsure of, as it is found."""
        for _, shown in groupby(tiles(frames, self._every), key=lambda tile: tile.source):
            networks = self._networks = self._networks or _Networks(self._threads)
            yield from _once(reading for tile in shown for reading in networks.read(tile, frames.shape[1:3]))


class _Networks:
    def __init__(self, threads: int) -> None:
        try:
            onnx_runtime()
            from rapidocr import RapidOCR, main

            folder = main.root_dir / "models"
            names = {
                "Det.model_path": folder / "PP-OCRv6_det_small.onnx",
                "Rec.model_path": folder / "PP-OCRv6_rec_small.onnx",
            }
            if missing := [path.name for path in names.values() if not path.is_file()]:
                raise ModelError(f"the wheel of rapidocr lacks {', '.join(missing)}")
            engine: Any = RapidOCR(params=_PARAMETERS | names | {_THREADS: threads})
            self._detector, self._recogniser = engine._load_det_model(), engine._load_rec_model()  # noqa: SLF001
        except ModelError:
            raise
        except Exception as exc:  # whatever keeps them from loading
            raise ModelError(f"the networks that read text do not load ({type(exc).__name__})") from exc
        self._check()

    def _check(self) -> None:
        page = np.zeros((64, SIDE // 2, 3), np.uint8)
        cv2.putText(page, _SAMPLE, (10, 40), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (200, 200, 200), 1, cv2.LINE_AA)
        large = cv2.resize(page, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC)
        found = self.read(Tile(0, (0, 0), np.asarray(large, np.uint8)), page.shape[:2])
        if _SAMPLE.replace(" ", "") not in {reading.text.replace(" ", "") for reading in found if reading.counts}:
            raise ModelError("the networks that read text do not read a plain line")

    def read(self, tile: Tile, size: tuple[int, ...]) -> list[Reading]:
        """Everything in a tile of a picture of so many rows and columns, sure or not."""
        corners = self._found(tile.picture)
        if not corners:
            return []
        from rapidocr.ch_ppocr_rec import TextRecInput
        from rapidocr.utils.process_img import get_rotate_crop_image

        lines = [get_rotate_crop_image(tile.picture, four.copy()) for four in corners]
        said = self._recogniser(TextRecInput(img=lines, return_word_box=False))
        if len(said.txts) != len(corners):
            raise ModelError("the network that reads gave another number of answers than it was asked")
        return [
            Reading(text, float(score), _box(four, tile.origin, size), tile.source)
            for four, text, score in zip(corners, said.txts, said.scores, strict=True)
            if text.strip()
        ]

    def _found(self, picture: Frame) -> list[npt.NDArray[np.float32]]:
        """Corners of what may be text, (4, 2) x and y in the tile's own pixels."""
        prepared = self._detector.get_preprocess()(picture)
        if prepared is None:
            raise ModelError("a tile is too small to be looked at")
        likely = self._detector.session(prepared)
        found: list[npt.NDArray[np.float32]] = []
        for level in LEVELS:
            self._detector.postprocess_op.thresh = level
            for four in self._detector.postprocess_op(likely, picture.shape[:2])[0]:
                if _may_hold_text(four) and not any(np.abs(four - other).max() <= 3 for other in found):
                    found.append(np.asarray(four, np.float32))
        return found


_THREADS = "EngineConfig.onnxruntime.intra_op_num_threads"
_PARAMETERS: dict[str, Any] = {
    "Global.log_level": "critical",
    "Global.use_cls": False,
    "EngineConfig.onnxruntime.inter_op_num_threads": 1,
    "EngineConfig.onnxruntime.enable_cpu_mem_arena": True,  # a quarter less time for tiles of one size
    "Det.limit_side_len": 32,  # tiles are shown as they are
    "Det.box_thresh": LEAST_BOX,
}


def _may_hold_text(corners: npt.NDArray[np.float32]) -> bool:
    wide, high = (float(np.linalg.norm(corners[0] - corners[end])) for end in (1, 3))
    return min(wide, high) >= _LEAST_SIDE and max(wide, high) >= _LEAST_RATIO * min(wide, high)


def _box(corners: npt.NDArray[np.float32], origin: tuple[int, int], size: tuple[int, ...]) -> Box:
    low = np.floor(corners.min(axis=0) / ENLARGED).astype(int) + origin
    high = np.ceil(corners.max(axis=0) / ENLARGED).astype(int) + origin
    (x0, y0), (x1, y1) = low.tolist(), high.tolist()
    x0, y0 = min(max(0, x0), size[1] - 1), min(max(0, y0), size[0] - 1)
    return x0, y0, max(x0 + 1, min(x1, size[1])), max(y0 + 1, min(y1, size[0]))


def _common(one: Box, other: Box) -> float:
    """Share of the first box that lies in the second."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return max(0, wide) * max(0, high) / ((one[2] - one[0]) * (one[3] - one[1]))


def _once(readings: Iterable[Reading]) -> Iterator[Reading]:
    """Without those that lie half within one that counts for more: tiles overlap, and each is read more than once."""
    kept: list[Reading] = []
    for reading in sorted(readings, key=lambda one: (one.counts, one.score), reverse=True):
        if not any(_common(reading.box, other.box) >= 0.5 for other in kept):
            kept.append(reading)
            yield reading
