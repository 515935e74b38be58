"""`python -m train fit`: a recipe, and pictures, to a trained network."""

from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import typer
from rich.console import Console
from rich.table import Table

from dicom_ai.rows import print_row
from models.imagenet import StartRefused
from train.fit import Run, fit, rank
from train.model_folder import write_folder
from train.recipe import Recipe, read_recipe, recipes, scaled
from train.run_folder import rows_of, run_recipe
from train.run_model import write_model
from train.source import SPLIT, Source, source_of


def command(
    recipe: Annotated[str | None, typer.Argument(help=f"{', '.join(recipes())}, or a path to a .toml file.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the run, or of a demonstration's model.")] = Path("runs/fit"),
    recipe_: Annotated[str | None, typer.Option("--recipe", help="The same as the argument.")] = None,
    data: Annotated[Path | None, typer.Option(help="Data set of `collect`; without it phantoms are drawn.")] = None,
    split: Annotated[Path | None, typer.Option(help=f"Without it {SPLIT} of the data set.")] = None,
    fold: Annotated[int | None, typer.Option(min=0, help="One fold of the split, from 0; without it all.")] = None,
    start: Annotated[Path | None, typer.Option(help="File of ImageNet weights; without it a random start.")] = None,
    size: Annotated[int | None, typer.Option(min=32, max=1024, help="Another edge of the input, pixels.")] = None,
    images: Annotated[int | None, typer.Option(min=2, help="Training pictures, at most of a data set.")] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", "--limit-epochs", min=1, help="Another number of epochs.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Stop after so many batches.")] = None,
    seed: Annotated[int, typer.Option(help="Start of the network, order and augmentation.")] = 0,
    cache: Annotated[Path, typer.Option(help="Folder for drawn pictures, so that a second run starts at once.")] = Path(
        "runs/phantoms"
    ),
    workers: Annotated[int, typer.Option(min=1, help="Processes that draw, then CPU threads of the network.")] = 2,
    loaders: Annotated[int, typer.Option(min=0, help="Processes that read and augment; 0 is the training one.")] = 0,
    device: Annotated[Literal["auto", "cpu", "gpu"], typer.Option(help="Where to train.")] = "auto",
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Refuse what the device cannot do twice alike.")
    ] = False,
    model: Annotated[bool, typer.Option("--model", help="Also RUN/model, which promote can sign.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line on standard output.")] = False,
) -> None:
    """Train a recipe. The same command again goes on where the last one was stopped.

    A demonstration draws its pictures, is measured and becomes a model folder. Every other recipe becomes a run's
    folder, from phantoms or a data set, for `evaluate`.

    Example: python -m train fit demo-lung --out runs/lung --limit-epochs 1

    Example: python -m train fit --recipe modern-lung --data sets/lung --out runs/modern
    """
    torch.set_num_threads(workers)
    console = Console(stderr=as_json)
    try:
        run = Run(seed, None, steps, cache, workers, loaders, Path("runs"), device, deterministic)
        wanted = read_recipe(_one_name(recipe, recipe_))
        wanted = scaled(wanted, size=size, images=images if data is None else None, epochs=epochs)
        if wanted.makes == "demonstration":
            return _demonstrate(wanted, run, out, console, is_alone=data is None and start is None)
        told = _run(wanted, source_of(data, split, fold=fold, most=images, start=start), run, out, has_model=model)
    except (OSError, ValueError, StartRefused) as exc:
        console.print(str(exc), style="red", highlight=False, markup=False)
        raise typer.Exit(2) from exc
    return _tell(told, out, console, as_json=as_json)


def _run(recipe: Recipe, source: Source, run: Run, out: Path, *, has_model: bool) -> dict[str, Any]:
    if has_model and len(source.folds) > 1:
        raise ValueError("--model needs one network: choose a fold with --fold")
    told = run_recipe(recipe, source, run, out)
    if has_model and rank() == 0:
        write_model(out, recipe, source, run)
    return told


def _tell(told: dict[str, Any], out: Path, console: Console, *, as_json: bool) -> None:
    if rank() != 0:
        return
    if as_json:
        print_row({"row": "run", "out": str(out)} | {key: told[key] for key in ("name", "start", "curves", "seconds")})
        return
    table = Table("figure", "value", title=str(out))
    for name, value in rows_of(told):
        table.add_row(name, value)
    console.print(table)


def _one_name(argument: str | None, option: str | None) -> str:
    if (argument is None) == (option is None):
        raise ValueError(f"name one recipe: {', '.join(recipes())}, or a path to a .toml file")
    return str(argument or option)


def _demonstrate(recipe: Recipe, run: Run, out: Path, console: Console, *, is_alone: bool) -> None:
    if not is_alone:
        raise ValueError(f"{recipe.name} is a demonstration: it is made of phantoms alone")
    console.print(f"Drawing {recipe.phantoms.count} pictures (or reading them from {run.cache})")
    network, splits = fit(recipe, run)
    if rank() != 0:
        return
    card = write_folder(out, network, recipe, splits)
    table = Table("figure", "unseen pictures", "unseen screens", title=f"{card.name} {card.version}")
    for name in card.metrics[0]:
        table.add_row(name, *(str(figures[name]) for figures in card.metrics))
    console.print(table)
    console.print(f"Model folder: {out}")
