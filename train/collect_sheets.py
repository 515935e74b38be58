"""Contact sheets: what was kept, and what was left out and why, for the eyes of the person who collects.

Sheets of what was left out show it as it lies in its folder, identity included; they are drawn only where somebody
asks, and never into the data set.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from models.preprocess import Letterbox
from train.collect import LeftOut
from train.folder import UnreadablePicture, is_picture, read_frames
from train.tables import DataSet

SIDE, COLUMNS, ROWS, BAND = 176, 8, 6, 14
"""Pixels of a picture's side; pictures in a row and rows on a sheet; pixels of the line under each."""

Grey = npt.NDArray[np.uint8]


def draw_sheets(folder: Path, made: DataSet, gone: Sequence[LeftOut]) -> list[Path]:
    """Write sheets as PNG: the middle frame of each clip, under it the first digits of its id and its classes.

    Raises:
        ValueError: the folder lies inside the data set.
    """
    if made.folder.resolve() in (folder.resolve(), *folder.resolve().parents):
        raise ValueError("sheets show what was left out; name a folder outside of the data set")
    folder.mkdir(parents=True, exist_ok=True)
    pictures: dict[str, list[tuple[str, Grey]]] = defaultdict(list)
    for clip in made.clips:
        signs = " ".join(name[:6] for name in made.class_ids if clip.labels.get(name) == 1)
        pictures["kept"].append((f"{clip.id[:8]} {signs}", made.frames[clip.first + clip.frames // 2]))
    for one in gone:
        shown = _source(Path(one.file))
        if shown is not None:
            pictures[f"left-out-{one.reason}"].append((one.id[:24], shown))
    return [path for kind, several in sorted(pictures.items()) for path in _sheets(folder, kind, several)]


def _source(path: Path) -> Grey | None:
    if not path.is_file() or not is_picture(path):
        return None  # of DICOM objects `dicom-ai quarantine` shows the votes, and the screen as a mosaic
    try:
        frames = read_frames([path], 3).frames
    except UnreadablePicture:
        return None
    return np.asarray(cv2.cvtColor(frames[len(frames) // 2], cv2.COLOR_RGB2GRAY), np.uint8) if frames else None


def _sheets(folder: Path, kind: str, pictures: Sequence[tuple[str, Grey]]) -> list[Path]:
    made = []
    for begin in range(0, len(pictures), COLUMNS * ROWS):
        path = folder / f"{kind}-{begin // (COLUMNS * ROWS) + 1}.png"
        cv2.imwrite(str(path), _sheet(pictures[begin : begin + COLUMNS * ROWS]))
        made.append(path)
    return made


def _sheet(pictures: Sequence[tuple[str, Grey]]) -> Grey:
    rows = -(-len(pictures) // COLUMNS)
    sheet = np.zeros((rows * (SIDE + BAND), COLUMNS * SIDE), np.uint8)
    for at, (text, picture) in enumerate(pictures):
        top, left = at // COLUMNS * (SIDE + BAND), at % COLUMNS * SIDE
        sheet[top : top + SIDE, left : left + SIDE] = Letterbox.fit(picture.shape[0], picture.shape[1], SIDE).place(
            picture, 0
        )
        cv2.putText(sheet, text, (left + 2, top + SIDE + 10), cv2.FONT_HERSHEY_PLAIN, 0.7, 255)
    return sheet
