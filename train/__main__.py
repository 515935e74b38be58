"""Make a model: `python -m train fit RECIPE --out DIR`."""

import train.no_network  # noqa: F401 - before libraries that look for a network when imported

# isort: split

import logging
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table

from train.commands import collect, evaluate, keys, promote, split
from train.fit import Run, fit
from train.model_folder import write_folder
from train.recipe import read_recipe, recipes

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Make a model. A recipe says what it learns from; the result is a model folder the service can use.",
)


@app.callback()
def _commands() -> None:
    pass  # keeps `fit` a subcommand: evaluate and promote will stand beside it


app.command("collect")(collect.command)
app.command("split")(split.command)
app.command("evaluate")(evaluate.command)
app.command("promote")(promote.command)
app.add_typer(keys.keys_app, name="keys")


@app.command("fit")
def fit_command(
    recipe: Annotated[str, typer.Argument(help=f"{', '.join(recipes())}, or a path to a .toml file.")],
    out: Annotated[Path, typer.Option(help="Folder of the model: weights, vectors, card, README.")],
    seed: Annotated[int, typer.Option(help="Start of the network, order and augmentation.")] = 0,
    limit_epochs: Annotated[int | None, typer.Option(min=1, help="Stop after so many epochs, to try things.")] = None,
    cache: Annotated[Path, typer.Option(help="Folder for drawn pictures, so that a second run starts at once.")] = Path(
        "runs/phantoms"
    ),
    workers: Annotated[int, typer.Option(min=1, help="Processes that draw, then CPU threads of the network.")] = 2,
) -> None:
    """Draw the recipe's pictures, train, calibrate, measure, and write a model folder.

    Example: python -m train fit demo-lung --out runs/lung --limit-epochs 1
    """
    torch.set_num_threads(workers)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # it advertises services on the network
    console = Console()
    try:
        wanted = read_recipe(recipe)
    except (FileNotFoundError, ValueError) as exc:
        console.print(f"[red]{exc}[/red]", highlight=False)
        raise typer.Exit(2) from exc
    console.print(f"Drawing {wanted.phantoms.count} pictures (or reading them from {cache})")
    network, splits = fit(wanted, Run(seed=seed, limit_epochs=limit_epochs, cache=cache, workers=workers))
    card = write_folder(out, network, wanted, splits)
    table = Table("figure", "unseen pictures", "unseen screens", title=f"{card.name} {card.version}")
    for name in card.metrics[0]:
        table.add_row(name, *(str(figures[name]) for figures in card.metrics))
    console.print(table)
    console.print(f"Model folder: {out}")


if __name__ == "__main__":
    app()
