"""`python -m train split`: which patients a network learns from, and which judge it."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from dicom_ai.rows import print_row
from train.guard import KINDS, guarded
from train.near import bits_apart, hashes_of
from train.split import PARTS, Part, Split, beside, divided
from train.tables import DataSet, read_data_set

SPLIT, BY_IMAGE = "split.json", "split-by-image.json"


def command(
    folder: Annotated[Path, typer.Argument(help="Folder of the data set.")],
    scheme: Annotated[str, typer.Option(help="6:2:2, 9:1 or kfold:5.")] = "6:2:2",
    by: Annotated[str, typer.Option(help="patient, or image beside it as the papers did.")] = "patient",
    seed: Annotated[int, typer.Option(help="Another one divides otherwise.")] = 0,
    allow: Annotated[list[str], typer.Option(help=f"Let pass: {', '.join(KINDS)}.")] = [],  # noqa: B006 - copied
    out: Annotated[Path | None, typer.Option(help=f"File to write; without it {SPLIT} of the data set.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line on standard output.")] = False,
) -> None:
    """Divide a data set so that nothing leaks from one part into another.

    Shares (6:2:2, 9:1) never move a patient when others are added; kfold:5 balances classes and sources instead.

    Example: python -m train split sets/lung --scheme kfold:5
    """
    console = Console(stderr=True)
    try:
        if by not in {"patient", "image"}:
            raise ValueError("--by is patient or image")
        made = read_data_set(folder)
        apart = bits_apart(hashes_of(made.frames), made.clips)
        grouped = guarded(divided(made, scheme, seed), made, apart, allow)
        file = out or folder / SPLIT
        grouped.write(file)
        written = [(file, grouped)]
        if by == "image":  # asking for it names everything it lets pass
            loose = guarded(beside(divided(made, scheme, seed, by="image"), grouped), made, apart, KINDS)
            written.append((file.with_name(BY_IMAGE), loose))
            loose.write(file.with_name(BY_IMAGE))
    except (ValueError, OSError) as exc:
        console.print(f"[red]{exc}[/red]", highlight=False)
        raise typer.Exit(2) from exc
    for path, split in written:
        _tell(path, split, made, as_json=as_json)


def _tell(path: Path, split: Split, made: DataSet, *, as_json: bool) -> None:
    rows = [_row(split, made, fold, part) for fold in range(len(split.folds)) for part in PARTS]
    if as_json:
        print_row({"row": "split", "file": str(path), "digest": split.digest, "by": split.by, "scheme": split.scheme,
                   "allowed": dict(split.allowed), "beside": split.beside, "parts": rows})  # fmt: skip
        return
    title = f"{path} by {split.by}, {split.scheme}, seed {split.seed}"
    table = Table("fold", "part", "patients", "clips", "frames", *made.class_ids, title=title)
    for row in rows:
        counts = [f"{one['clips']} ({one['patients']} p)" for one in row["classes"].values()]
        table.add_row(*(str(row[name]) for name in ("fold", "part", "patients", "clips", "frames")), *counts)
    Console().print(table)
    for kind, count in split.allowed.items():
        Console().print(f"let pass: {count} x {kind}", style="yellow")


def _row(split: Split, made: DataSet, fold: int, part: Part) -> dict[str, Any]:
    rows = split.rows(made, fold, part)
    clips = [clip for clip in made.clips if np.any((rows >= clip.first) & (rows < clip.first + clip.frames))]
    classes = {}
    for name in made.class_ids:
        present = [clip for clip in clips if clip.labels.get(name) == 1]
        classes[name] = {"clips": len(present), "patients": len({clip.patient for clip in present})}
    return {"fold": fold, "part": part, "patients": len({clip.patient for clip in clips}), "clips": len(clips),
            "frames": len(rows), "classes": classes}  # fmt: skip
