"""The command `crop`: what the crop keeps of each file, as rows and as pictures. Nothing is stored or sent."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import cv2

from dicom_ai.analysis import cropper_of
from dicom_ai.commands.desk import approved_there
from dicom_ai.crop.emit import full_frame
from dicom_ai.errors import SettingsError
from dicom_ai.kept import Kept
from dicom_ai.rows import print_row, print_table
from dicom_ai.settings import Settings


def files_of(paths: Sequence[Path]) -> list[Path]:
    """Every file of the paths given, folders walked, sorted.

    Raises:
        SettingsError: a path does not exist.
    """
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise SettingsError(f"no such file or folder: {', '.join(missing)}")
    found = {file for path in paths for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file()}
    return sorted(found)


def crop(paths: Sequence[Path], png: Path | None, settings: Settings, *, as_json: bool) -> int:
    """Print what the crop keeps of each file; 1 when a file could not be read at all."""
    if png is not None:
        png.mkdir(parents=True, exist_ok=True)
    rows = []
    layouts = approved_there(settings)
    with cropper_of(settings, lambda: layouts) as cropper:
        for path in files_of(paths):
            outcome, kept = cropper.crop(path, 1)
            row = {"file": str(path), **outcome.row(), "png": _picture(path, kept, png)}
            rows.append(row)
            if as_json:
                print_row(row)
    if not as_json:
        lines = [(row["file"], row["status"], row["reason"], row["box"], row["png"]) for row in rows]
        print_table("Crop", ("file", "status", "reason", "box", "picture"), lines)
    return int(any(row["status"] == "failed" for row in rows))


def _picture(path: Path, kept: Kept | None, folder: Path | None) -> str | None:
    """The first frame at full size, black outside the kept shape, as PNG; named by a hash of the file's path."""
    if kept is None or folder is None:
        return None
    target = folder / f"{hashlib.sha256(str(path).encode()).hexdigest()[:16]}.png"
    frame = full_frame(kept, 0)
    cv2.imwrite(str(target), frame[:, :, ::-1] if frame.shape[2] == 3 else frame)
    return str(target)
