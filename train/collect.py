"""Units -> the folder of a data set: `manifest.json`, `frames.npy`, `shapes.npy`; and what was left out, and why.

The manifest is written last: without it there is no data set. What this is not: the command.
"""

import fcntl
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dicom_ai.cropping import PIPELINE_VERSION
from dicom_ai.reasons import REASONS
from train.collect_plan import Unit
from train.collect_work import Bench, Done, Sizes
from train.labels import CLASS_IDS, Reading
from train.tables import FRAMES, MANIFEST, SHAPES, Clip, DataSet, write_manifest

REASONS_HERE = {
    "dropped_label": "Its label was left out by name",
    "labels_disagree": "Frames of one clip have different labels or sources",
    "no_patient": "Nobody says whose it is, so no split could keep it apart",
    "missing_file": "The table names a file that is not there",
    "not_in_table": "No table tells what it shows",
    "duplicate": "The same content is in the data set already",
    "copies_disagree": "The same content has two patients or two sets of labels",
    "black": "Every frame is black",
}
"""What leaves something out here; the reasons of the crop are those of `dicom-ai reasons`."""


@dataclass(frozen=True)
class LeftOut:
    """One still or clip that is not in the data set; `file` is for the person at the screen and is never stored."""

    id: str
    source: str
    reason: str
    file: str

    @property
    def meaning(self) -> str:
        """The reason in words."""
        return REASONS_HERE.get(self.reason) or REASONS[self.reason].meaning


@dataclass(frozen=True)
class Wanted:
    """What a data set is made as.

    Attributes:
        out: its folder.
        sizes: of the squares and of the clips.
        cropped_by: what a folder of pictures declares.
        looked_at: ids that a person has looked at and found free of text.
        reading: of the tables.
    """

    out: Path
    sizes: Sizes
    cropped_by: str
    looked_at: frozenset[str]
    reading: Reading


def collect(
    units: Sequence[Unit], wanted: Wanted, bench: Bench, shown: Iterable[Unit]
) -> tuple[DataSet, list[LeftOut]]:
    """Do the work of every unit and write the data set.

    Args:
        units: from `collect_plan.units_of`.
        wanted: of the result.
        bench: does the work.
        shown: the units again, one by one, as somebody watches.

    Raises:
        ValueError: nothing at all is kept.
    """
    fates = [_fate(unit, bench) for unit in shown]
    left = [_left_out(unit, reason) for unit, (reason, _, _) in zip(units, fates, strict=True)]
    kept = [number for number, one in enumerate(left) if one is None]
    if not kept:
        raise ValueError("nothing was kept: every still and clip was left out")
    clips = tuple(_clips([units[number] for number in kept], [fates[number][1] for number in kept], wanted))
    black = sum(fates[number][2] for number in kept)
    gone = [one for one in left if one is not None]
    made = DataSet(wanted.out, wanted.reading.task, CLASS_IDS[wanted.reading.task], clips, _facts(gone, wanted, black))
    _write(made, (bench.done(units[number]) for number in kept))
    return made, gone


def _fate(unit: Unit, bench: Bench) -> tuple[str, int, int]:
    """The reason why it is left out, or "", how many frames are kept, and how many were black."""
    if unit.reason:
        return unit.reason, 0, 0
    done = bench.done(unit)
    return done.reason, len(done.squares), done.black


def _left_out(unit: Unit, reason: str) -> LeftOut | None:
    return LeftOut(unit.id, unit.source, reason, str(unit.paths[0])) if reason else None


def _clips(units: Sequence[Unit], counts: Sequence[int], wanted: Wanted) -> Iterator[Clip]:
    first = 0
    for unit, count in zip(units, counts, strict=True):
        yield Clip(
            id=unit.id, patient=unit.patient, source=unit.source, device=unit.device, probe=unit.probe,
            labels=unit.labels, single_sign=unit.single_sign, first=first, frames=count,
            cropped_by="dicom_ai" if unit.is_dicom else wanted.cropped_by, origin=unit.origin, name=unit.name,
        )  # fmt: skip
        first += count


def _facts(gone: Sequence[LeftOut], wanted: Wanted, black: int) -> dict[str, Any]:
    reading = wanted.reading
    return {
        "made_by": "collect",
        "pipeline": PIPELINE_VERSION,
        "sizes": asdict(wanted.sizes),
        "classes": dict(sorted(reading.classes.items())),
        "dropped": sorted(reading.drop),
        "asked": None if reading.asked is None else reading.asked.model_dump(mode="json"),
        "black_frames": black,
        "looked_at": sorted(wanted.looked_at),
        "left_out": [{"id": one.id, "source": one.source, "reason": one.reason} for one in gone],
    }


def _write(made: DataSet, done: Iterable[Done]) -> None:
    """Arrays aside, then renamed, then the manifest; an older manifest goes first."""
    count, size = sum(clip.frames for clip in made.clips), made.facts["sizes"]["size"]
    (made.folder / MANIFEST).unlink(missing_ok=True)
    aside = made.folder / f"{FRAMES}.part"
    squares = np.lib.format.open_memmap(aside, mode="w+", dtype=np.uint8, shape=(count, size, size))
    shapes = np.zeros((count, 2), np.int32)
    for clip, one in zip(made.clips, done, strict=True):
        squares[clip.first : clip.first + clip.frames] = one.squares
        shapes[clip.first : clip.first + clip.frames] = one.shapes
    squares.flush()
    del squares
    aside.rename(made.folder / FRAMES)
    np.save(made.folder / SHAPES, shapes)
    write_manifest(made)


@contextmanager
def held(out: Path) -> Iterator[None]:
    """Hold the folder of a data set against a second run; the lock ends with the process, however it ends.

    Raises:
        ValueError: another run holds it.
    """
    out.mkdir(parents=True, exist_ok=True)
    opened = os.open(out / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as exc:
        raise ValueError(f"another run is writing {out}") from exc
    finally:
        os.close(opened)


def clear_work(out: Path) -> None:
    """Remove finished work, with which the next run over the same files would take seconds."""
    for folder in out.glob("work-*"):
        shutil.rmtree(folder)


def summary(made: DataSet, gone: Sequence[LeftOut]) -> dict[str, Any]:
    """Counts for people: clips, patients and frames per source, clips and patients per class, left out by reason."""
    rows = []
    for source in sorted({clip.source for clip in made.clips}):
        clips = [clip for clip in made.clips if clip.source == source]
        row: dict[str, Any] = {"source": source, "clips": len(clips), "frames": sum(clip.frames for clip in clips)}
        row |= {"patients": len({clip.patient for clip in clips}), "single": sum(clip.single_sign for clip in clips)}
        row["classes"] = {name: _of_class(clips, name) for name in made.class_ids}
        rows.append(row)
    reasons = Counter((one.source, one.reason) for one in gone)
    left = [{"source": s, "reason": reason, "clips": count} for (s, reason), count in sorted(reasons.items())]
    return {"digest": made.digest, "sources": rows, "left_out": left}


def _of_class(clips: Sequence[Clip], name: str) -> dict[str, int]:
    present = [clip for clip in clips if clip.labels.get(name) == 1]
    asked = sum(name in clip.labels for clip in clips)
    return {"clips": len(present), "patients": len({clip.patient for clip in present}), "asked": asked}
