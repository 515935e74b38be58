"""`python -m train table`: several recipes, one after the other, and their figures beside each other."""

from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table
from sklearn.metrics import f1_score, precision_score, recall_score

from dicom_ai.rows import print_row
from train.fit import Run, rank
from train.recipe import read_recipe, recipes, scaled
from train.run_folder import PREDICTIONS, run_recipe
from train.source import SPLIT, source_of
from train.tables import Predictions, read_predictions


def command(
    recipes_: Annotated[list[str], typer.Option("--recipes", help="Names or patterns of recipes.")] = ["uterus-*"],  # noqa: B006 - Typer copies it
    more: Annotated[list[str] | None, typer.Argument(help="More names, as a shell writes a pattern out.")] = None,
    out: Annotated[Path, typer.Option(help="Folder; each recipe's run lies under its name.")] = Path("runs/table"),
    data: Annotated[Path | None, typer.Option(help="Data set of `collect`; without it phantoms are drawn.")] = None,
    split: Annotated[Path | None, typer.Option(help=f"Without it {SPLIT} of the data set.")] = None,
    size: Annotated[int | None, typer.Option(min=32, max=1024, help="Another edge of the input, pixels.")] = None,
    images: Annotated[int | None, typer.Option(min=2, help="Training pictures, at most of a data set.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Another number of epochs.")] = None,
    seed: Annotated[int, typer.Option(help="Start of the networks, order and augmentation.")] = 0,
    cache: Annotated[Path, typer.Option(help="Folder for drawn pictures.")] = Path("runs/phantoms"),
    workers: Annotated[int, typer.Option(min=1, help="Processes that draw, then CPU threads of the network.")] = 2,
    device: Annotated[Literal["auto", "cpu", "gpu"], typer.Option(help="Where to train.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line on standard output.")] = False,
) -> None:
    """Train several recipes on the same pictures; a run that is finished is not done again.

    Precision, recall and F1 are macro means over frames, as in the paper; `evaluate` of the folders gives intervals.

    Example: python -m train table --recipes 'uterus-*' --size 96 --images 300 --epochs 4
    """
    torch.set_num_threads(workers)
    console, rows = Console(stderr=True), []
    run = Run(seed, cache=cache, workers=workers, device=device)
    try:
        names = _names([*recipes_, *(more or [])])
        source = source_of(data, split, most=images)
        for name in names:
            console.print(f"{name}: {names.index(name) + 1} of {len(names)}", highlight=False)
            recipe = scaled(read_recipe(name), size=size, images=images if data is None else None, epochs=epochs)
            told = run_recipe(recipe, source, run, out / name)
            if rank() == 0:
                row = {"recipe": name, **figures_of(read_predictions(out / name / PREDICTIONS))}
                rows.append(row | {"seconds": told["seconds"], "start": told["start"]})
    except (OSError, ValueError) as exc:
        console.print(str(exc), style="red", highlight=False, markup=False)
        raise typer.Exit(2) from exc
    if rank() == 0:
        _tell(rows, out, as_json=as_json)


def _names(patterns: Sequence[str]) -> list[str]:
    found = [name for name in recipes() if any(fnmatch(name, one) for one in patterns)]
    wrong = [name for name in found if read_recipe(name).makes != "run"]
    if not found or wrong:
        raise ValueError(f"no recipe fits, or one is a demonstration; there are: {', '.join(recipes())}")
    return found


def _tell(rows: Sequence[dict[str, Any]], out: Path, *, as_json: bool) -> None:
    if as_json:
        for row in rows:
            print_row({"row": "table", **row})
        return
    shown = Table("recipe", "precision %", "recall %", "F1 %", "frames", "seconds", title=str(out))
    for row in rows:
        figures = (f"{100 * row[key]:.2f}" for key in ("precision", "recall", "f1"))
        shown.add_row(row["recipe"], *figures, str(row["frames"]), str(row["seconds"]))
    Console().print(shown)
    for start in sorted({row["start"] for row in rows}):
        Console().print(f"Start: {start}", highlight=False)


def figures_of(told: Predictions) -> dict[str, float]:
    """Macro precision, recall and F1 over frames (scikit-learn's definitions), 0..1, and how many frames.

    A softmax head calls the most probable class; a sigmoid head each class from one half, on what is known of it.
    """
    scores = {"precision": precision_score, "recall": recall_score, "f1": f1_score}
    if told.head == "softmax":
        truth, called = told.truth.argmax(axis=1), told.logits.argmax(axis=1)
        kinds = list(range(len(told.class_ids)))
        found = {name: float(score(truth, called, labels=kinds, average="macro", zero_division=0))
                 for name, score in scores.items()}  # fmt: skip
    else:
        known = ~np.isnan(told.truth)
        asked = [k for k in range(len(told.class_ids)) if known[:, k].any()]
        found = {
            name: float(np.mean([score(told.truth[known[:, k], k], told.logits[known[:, k], k] > 0, zero_division=0)
                                 for k in asked]))
            for name, score in scores.items()
        }  # fmt: skip
    return found | {"frames": len(told.truth)}
