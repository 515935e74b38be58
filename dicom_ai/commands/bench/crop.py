"""The command `bench crop`: leaks, fit, accept rates, time, and other ways beside ours, on simulated and real objects.

Tables for people, rows for programs; the seed is printed, and a subject can be looked at again by its number.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from dicom_ai.commands.bench import baselines, summary
from dicom_ai.commands.bench.clock import milliseconds
from dicom_ai.commands.bench.drawings import real
from dicom_ai.commands.bench.run import Bench, Plan
from dicom_ai.commands.bench.sheet import Sheets
from dicom_ai.commands.bench.verdict import Verdict
from dicom_ai.crop.cropper import Cropper
from dicom_ai.errors import SettingsError
from dicom_ai.rows import print_row, print_table, say

Row = dict[str, Any]


@dataclass(frozen=True)
class Wanted:
    """Options of the command.

    Attributes:
        plan: objects, seed, screens.
        timed: pictures to time; 0 leaves the clock out.
        real: folder of real objects, drawings: folder of the JSON files that go with them; both or neither.
        png: folder for contact sheets.
    """

    plan: Plan
    timed: int = 15
    real: Path | None = None
    drawings: Path | None = None
    png: Path | None = None


def bench(wanted: Wanted, *, as_json: bool) -> int:
    """Measure and print; 1 when something leaked or a pixel outside the mask survived, else 0.

    Raises:
        SettingsError: real objects without drawings or the other way round.
    """
    if (wanted.real is None) != (wanted.drawings is None):
        raise SettingsError("--real and --drawings go together")
    say(f"seed {wanted.plan.seed}; screens: {wanted.plan.which}")
    rows, seen = measured(wanted, on_object=(lambda one: print_row(one.row())) if as_json else None)
    for row in rows if as_json else ():
        print_row(row)
    if not as_json:
        _print(rows)
    total = next(row for row in rows if row["row"] == "leaks" and row["place"] == summary.ALL)
    return int(total["leaks"] > 0 or any(one.outside for one in seen))


def measured(wanted: Wanted, *, on_object: Callable[[Verdict], None] | None = None) -> tuple[list[Row], list[Verdict]]:
    """Every summary row of a run and the verdicts it was made of.

    Args:
        wanted: options.
        on_object: told every verdict at once.
    """
    seen: list[Verdict] = []
    sheets = Sheets(wanted.png)
    with tempfile.TemporaryDirectory() as folder, _progress() as bar, _children() as cropper:
        run = Bench(wanted.plan, Path(folder), cropper)
        for one in run.run(bar("painted objects", wanted.plan.objects)):
            seen.append(one.verdict)
            sheets.look(one)
            if on_object is not None:
                on_object(one.verdict)
        rows = [_whole(wanted, run, seen), *summary.leaks(seen), *summary.twins(seen), *summary.fits(seen)]
        rows += [*summary.faint(seen), *summary.others(run.baselines)]
        rows += [] if run.exports is None else [run.exports.row()]
        if baselines.DEID not in run.baselines:
            say(f"{baselines.DEID}: not installed, left out (pip install deid)")
        if wanted.timed:
            rows += milliseconds(wanted.plan.seed, wanted.timed, bar("pictures timed", wanted.timed))
        rows += _real(wanted, bar)
    for path in sheets.write():
        say(f"sheet: {path}")
    return rows, seen


def _whole(wanted: Wanted, run: Bench, seen: Sequence[Verdict]) -> Row:
    accepted = [one for one in seen if one.is_accepted]
    return {
        "row": "run", "seed": wanted.plan.seed, "screens": wanted.plan.which, "objects": len(seen),
        "painted": sum(one.place is not None for one in seen), "accepted": len(accepted),
        "outside": sum(one.outside for one in accepted), "by_child": run.by_child, "child_differs": run.differ,
        "ms_median_still": _median([one.ms for one in seen if one.frames == 1]),
    }  # fmt: skip


def _median(values: Sequence[float]) -> float | None:
    return sorted(values)[len(values) // 2] if values else None


def _real(wanted: Wanted, bar: Callable[[str, int], Callable[[int], None]]) -> list[Row]:
    if wanted.real is None or wanted.drawings is None:
        say("real objects: not asked for (--real, --drawings)")
        return []
    drawings = sorted(wanted.drawings.glob("*.json"))
    if not drawings or not wanted.real.is_dir():
        say("real objects: skipped, there are no drawings or no objects")
        return []
    return real(wanted.real, drawings, bar("real objects", 0))


@contextmanager
def _children() -> Iterator[Cropper]:
    with Cropper(children=1, memory_mib=2048, timeout_s=60.0, recycle_after=500) as cropper:
        yield cropper


@contextmanager
def _progress() -> Iterator[Callable[[str, int], Callable[[int], None]]]:
    """Bars on standard error where that is a terminal: a function that starts one and gives what moves it."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as progress:

        def start(what: str, total: int) -> Callable[[int], None]:
            task = progress.add_task(what, total=total or None)
            return lambda done: progress.update(task, completed=done)

        yield start


_TABLES: dict[str, tuple[str, tuple[str, ...]]] = {
    "run": ("Run", ("seed", "screens", "objects", "painted", "accepted", "outside", "by_child", "child_differs",
                    "ms_median_still")),
    "leaks": ("Leaks of legible text in what was accepted (upper bound: 95 %, one-sided)",
              ("place", "painted", "accepted", "legible", "leaks", "upper_bound", "glyphs", "any_pixel", "most",
               "faint")),
    "accept": ("Accepted without a person: clean twins and the same with a text in header, side or caption",
               ("layout", "is_known", "clean", "clean_accepted", "painted", "painted_accepted")),
    "cost": ("What a text costs of the accept rate, points, on the same pictures",
             ("place", "pairs", "clean_accepted", "painted_accepted", "cost_points")),
    "fit": ("Clean objects: fit to the exact sector",
            ("group", "clean", "accepted", "iou_median", "iou_p5", "iou_worst", "tissue_median", "tissue_worst",
             "reasons")),
    "faint": ("Text on tissue, by place, height (px) and contrast (grey levels): what became of it",
              ("place", "height", "contrast", "n", "legible", "refused_as_text", "refused_otherwise", "blanked",
               "survived")),
    "baseline": ("Other ways on the same objects: place: [objects with a leak, objects]",
                 ("way", "objects", "failed", "leaks", "iou_median", "tissue_median")),
    "export": ("A sample exported as `crop --export` writes it, and read again",
               ("objects", "written", "proof_failed", "failures", "leaks", "outside", "ms_still", "ms_clip")),
    "speed": ("Milliseconds at 1164x873, one core", ("what", "part", "ms", "p95", "n")),
    "real": ("Real objects against two drawings by hand",
             ("file", "status", "reason", "shape", "is_fit", "must_quarantine", "iou", "tissue", "ceiling",
              "text_left")),
}  # fmt: skip


def _print(rows: Sequence[Row]) -> None:
    for kind, (title, columns) in _TABLES.items():
        lines = [[row.get(column) for column in columns] for row in rows if row["row"] == kind]
        if lines:
            print_table(title, columns, lines)
            print()  # noqa: T201 - a line between two tables
