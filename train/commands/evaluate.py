"""`python -m train evaluate`: how good a network is, as numbers for programs and a page for people."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, cast, get_args

import typer
from rich.console import Console
from rich.table import Table

from dicom_ai.errors import DicomAIError
from dicom_ai.rows import print_row
from train.evaluate.gallery import MAPS, Looks, looks_in, looks_of
from train.evaluate.page import Style, page_of
from train.evaluate.report import report_of
from train.evaluate.resample import Chance
from train.evaluate.runs import Run, read_run
from train.evaluate.words import Language, word
from train.report_of_test import REPORT
from train.tables import read_data_set

PAGE = "report.html"


def command(
    runs: Annotated[list[Path], typer.Argument(help="Folders with predictions.npz, as fit leaves them.")],
    out: Annotated[Path, typer.Option(help=f"Folder for {REPORT} and {PAGE}.")],
    language: Annotated[str, typer.Option(help="en or zh.")] = "en",
    data: Annotated[
        Path | None, typer.Option(help="Data set judged, for pictures with maps of runs with a card.")
    ] = None,
    resamples: Annotated[int, typer.Option(min=100, help="Draws of patients behind each interval.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of draws, samples and t-SNE.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line on standard output.")] = False,
) -> None:
    """Judge the predictions of one or several runs, with intervals over patients.

    One run's report.json is the evidence for its promotion. A split by image is shown beside the one by patient only.

    Example: python -m train evaluate runs/lung --out runs/lung/evaluation

    Example: python -m train evaluate runs/uterus-* --out runs/uterus-table --language zh
    """
    chance = Chance(resamples, seed)
    try:
        if language not in get_args(Language):
            raise ValueError(f"--language knows {' and '.join(get_args(Language))}")
        found = [read_run(folder) for folder in runs]
        report, told = report_of(found, chance)
        style = Style(cast("Language", language), chance, _looks(found, data))
        page = page_of(report, told, style)
    except (ValueError, OSError, DicomAIError) as exc:
        Console(stderr=True).print(str(exc), style="red", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(2) from exc
    out.mkdir(parents=True, exist_ok=True)
    for name, content in ((REPORT, json.dumps(report, indent=1, allow_nan=False) + "\n"), (PAGE, page)):
        aside = out / f".{name}.part"
        aside.write_text(content, encoding="utf-8")
        aside.replace(out / name)
    _tell(report, out, as_json=as_json)


def _looks(runs: Sequence[Run], data: Path | None) -> dict[str, Looks]:
    """Where each run's pictures come from: its own file, or its model on the data set."""
    found = {}
    made = read_data_set(data) if data is not None else None
    for run in runs:
        model = next((p for p in (run.folder, run.folder / "model") if (p / "card.json").is_file()), None)
        if (run.folder / MAPS).is_file():
            found[run.name] = looks_in(run.folder / MAPS)
        elif made is not None and model is not None:
            found[run.name] = looks_of(model, made)
    return found


def _tell(report: dict[str, Any], out: Path, *, as_json: bool) -> None:
    rows = [(run["name"], run["levels"]["clip"]["overall"]) for run in report["runs"]]
    if as_json:
        for run in report["runs"]:
            print_row({"row": "run", "name": run["name"], "metrics": run["metrics"]})
        print_row({"row": "report", "json": str(out / REPORT), "page": str(out / PAGE)})
        return
    figures = [word(name, "en") for name in ("auc", "f1", "precision", "recall")]
    if len(rows) == 1:
        name, row = rows[0]
        shown = Table("class", "patients", *figures, title=f"{name}: clips, per cent")
        for class_id, one in row["classes"].items():
            patients = f"{one['patients']['positive']}/{one['patients']['asked']}"
            shown.add_row(class_id, patients, *_cells(one["figures"], is_there=one["is_estimable"]))
    else:
        shown = Table("run", "patients", *figures, title="Means over classes: clips, per cent")
    for name, row in rows:
        what = "mean" if len(rows) == 1 else name
        shown.add_row(what, str(row["patients"]), *_cells(row["macro"]["figures"], is_there=True))
    shown.columns[0].overflow = "fold"
    Console().print(shown)
    Console().print(f"{out / REPORT}, {out / PAGE}", highlight=False)


def _cells(figures: dict[str, Any], *, is_there: bool) -> list[str]:
    if not is_there:
        return ["not estimable", "", "", ""]
    cells = []
    for name in ("auc", "f1", "precision", "recall"):
        one = figures[name]
        text = "-" if one is None else f"{100 * one['value']:.1f}"
        has_interval = one is not None and one["low"] is not None
        cells.append(f"{text} [{100 * one['low']:.1f}, {100 * one['high']:.1f}]" if has_interval else text)
    return cells
