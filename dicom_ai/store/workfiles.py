"""Work files: kept pixels and heat between two steps, in the spool folder, never a promise.

A work file is a convenience: whoever misses one makes it again from the stored object. It holds kept pixels only,
its name is made of digests, and it is removed when the analysis stands.
"""

import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from dicom_ai.kept import CropOutcome, Kept

Heat = dict[int, npt.NDArray[np.uint8]]
"""Class index -> uint8 (T, h, w) in the grid of the kept frames."""


def work_folder(data: Path) -> Path:
    """Where the service's work files lie in the data folder."""
    return data / "spool" / "work"


_WRITING_S = 5.0  # a file that is being written is younger


class WorkFiles:
    """Kept pixels and heat of the objects in work."""

    def __init__(self, folder: Path) -> None:
        """Use `folder` (made if absent)."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder

    def save(self, name: str, kept: Kept, heat: Mapping[int, npt.NDArray[np.uint8]]) -> None:
        """Write a work file, whole or not at all."""
        path = self._path(name)
        partial = path.with_suffix(f".{secrets.token_hex(4)}.part")  # two sets may have a member in common
        with partial.open("wb") as file:
            arrays = {f"heat{index}": plane for index, plane in heat.items()}
            np.savez(file, frames=kept.frames, numbers=np.array(kept.frame_numbers), **arrays)  # type: ignore[arg-type]
        partial.replace(path)

    def load(self, name: str, outcome: CropOutcome) -> tuple[Kept, Heat] | None:
        """Read a work file back, None when it is gone or damaged (nothing makes it survive a power cut)."""
        try:
            with self._path(name).open("rb") as file, np.load(file, allow_pickle=False) as found:
                heat = {int(key[4:]): found[key] for key in found.files if key.startswith("heat")}
                kept = Kept(found["frames"], tuple(int(n) for n in found["numbers"]), outcome)
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            return None
        return kept, heat

    def remove(self, name: str) -> None:
        """Remove a work file if there is one, and what a process that was killed while it wrote one left."""
        self._path(name).unlink(missing_ok=True)
        for path in self._folder.glob(f"{name}.*.part"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < time.time() - _WRITING_S:
                    path.unlink()

    def sweep(self, older_s: float) -> int:
        """Remove what has not been touched for `older_s` seconds: of sets that ended; return how many."""
        oldest, n_old = time.time() - older_s, 0
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):  # its set has just ended
                if path.stat().st_mtime < oldest:
                    path.unlink()
                    n_old += 1
        return n_old

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.npz"
