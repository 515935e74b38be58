"""The command `crop`: what the crop keeps of each file, as rows, as pictures, as de-identified objects.

Nothing is stored or sent.
"""

import hashlib
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
from rich.console import Console
from rich.progress import track

from dicom_ai.commands.desk import approved_there
from dicom_ai.commands.exporting import EVERY_FRAME, Exporter
from dicom_ai.crop.emit import full_frame
from dicom_ai.crop.export.proof import Finder
from dicom_ai.cropping import cropper_of
from dicom_ai.errors import SettingsError
from dicom_ai.kept import Kept
from dicom_ai.rows import print_row, print_table, say
from dicom_ai.settings import Settings
from dicom_ai.store.site_id import site_id


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


def _reader() -> Finder:
    """The reader of text; loaded only where something is exported."""
    from dicom_ai.crop.ocr import Reader

    return Reader()


@dataclass(frozen=True)
class Folders:
    """What `crop` writes beside its rows, and where."""

    png: Path | None = None
    export: Path | None = None


def crop(
    paths: Sequence[Path],
    folders: Folders,
    settings: Settings,
    *,
    as_json: bool,
    reader: Callable[[], Finder] = _reader,
) -> int:
    """Print what the crop keeps of each file, and export it where that is asked for.

    Returns:
        1 when a file could not be read at all or stands against an exported one; else 0.
    """
    if folders.png is not None:
        folders.png.mkdir(parents=True, exist_ok=True)
    exporter = None if folders.export is None else Exporter(folders.export, _secret(settings), reader())
    rows = []
    layouts = approved_there(settings)
    with cropper_of(settings, lambda: layouts) as cropper, exporter or nullcontext():
        for path in _shown(_sources(paths, folders), is_quiet=as_json):
            outcome, kept = cropper.crop(path, EVERY_FRAME if exporter else 1)
            written = None
            if exporter is not None:
                outcome, written = exporter.add(path, outcome, kept)
            picture = _picture(path, kept if outcome.status == "cropped" else None, folders.png)
            row = {"file": str(path), **outcome.row(), "png": picture, "export": written and str(written)}
            rows.append(row)
            if as_json:
                print_row(row)
    if not as_json:
        _print(rows, has_export=exporter is not None)
    return int(any(row["status"] == "failed" for row in rows))


def _sources(paths: Sequence[Path], folders: Folders) -> list[Path]:
    """The files without those that an earlier run exported: an export is no source."""
    if folders.export is None:
        return files_of(paths)
    return [path for path in files_of(paths) if folders.export.resolve() not in path.resolve().parents]


def _secret(settings: Settings) -> str:
    """The site's secret; who exports without having run the service is told that a new one was made."""
    data = settings.store.data
    is_new = not (data / "site.json").exists()
    secret = site_id(data).namespace
    if is_new:
        say(f"made the secret of this site, {data / 'site.json'}: keep it, pseudonyms made without it are others")
    return secret


def _shown(files: list[Path], *, is_quiet: bool) -> Iterable[Path]:
    """The files, with a bar on standard error for a person who waits."""
    is_quiet = is_quiet or len(files) < 2 or not sys.stderr.isatty()
    return track(files, "Cropping", console=Console(stderr=True), transient=True, disable=is_quiet)


def _print(rows: Sequence[dict[str, Any]], *, has_export: bool) -> None:
    last = "export" if has_export else "png"
    lines = [(row["file"], row["status"], row["reason"], row["box"], row[last]) for row in rows]
    print_table("Crop", ("file", "status", "reason", "box", "export" if has_export else "picture"), lines)


def _picture(path: Path, kept: Kept | None, folder: Path | None) -> str | None:
    """The first frame at full size, black outside the kept shape, as PNG; named by a hash of the file's path."""
    if kept is None or folder is None:
        return None
    target = folder / f"{hashlib.sha256(str(path).encode()).hexdigest()[:16]}.png"
    frame = full_frame(kept, 0)
    cv2.imwrite(str(target), frame[:, :, ::-1] if frame.shape[2] == 3 else frame)
    return str(target)
