"""`python -m train floor`: what a logistic regression says of a data set, for networks to be measured against."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from dicom_ai.rows import print_row
from train.floor import NAME, write_floor
from train.source import SPLIT
from train.split import read_split
from train.tables import read_data_set


def command(
    data: Annotated[Path, typer.Argument(help="Data set of `collect`.")],
    out: Annotated[Path, typer.Option(help="Folder of the run, new or empty.")],
    split: Annotated[Path | None, typer.Option(help=f"Without it {SPLIT} of the data set.")] = None,
    head: Annotated[
        Literal["softmax", "sigmoid"], typer.Option(help="One class of clips with one sign, or each by itself.")
    ] = "sigmoid",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line on standard output.")] = False,
) -> None:
    """Judge logistic regression on thumbnails, the floor that a network must beat; `evaluate` reads its folder.

    Example: python -m train floor sets/lung --out runs/floor
    """
    try:
        told = write_floor(read_data_set(data), read_split(split or data / SPLIT), head, out)
    except (OSError, ValueError) as exc:
        Console(stderr=True).print(str(exc), style="red", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(2) from exc
    if as_json:
        print_row({"row": "run", "out": str(out), "name": NAME, "frames": len(told.clip)})
    else:
        Console().print(f"{out}: {len(told.clip)} frames judged; next: python -m train evaluate", highlight=False)
