"""`python -m train collect`: archives and folders of pictures to a data set."""

import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from dicom_ai.cropping import cropper_of
from dicom_ai.errors import SettingsError
from dicom_ai.rows import print_row
from dicom_ai.settings import Settings, read_settings
from train.collect import LeftOut, Wanted, clear_work, collect, held, summary
from train.collect_key import site_key
from train.collect_plan import TABLE, Rules, Source, Unit, units_of
from train.collect_sheets import draw_sheets
from train.collect_work import Bench, Sizes
from train.folder import is_picture
from train.labels import CLASS_IDS, LabelsError, Reading, asked_of, mapping_of, pairs_of
from train.tables import DataSet

KEY = Path("data/patients.key")


def command(
    sources: Annotated[list[str], typer.Argument(help="FOLDER or NAME=FOLDER: DICOM files, or pictures and a table.")],
    out: Annotated[Path, typer.Option(help="Folder of the data set.")],
    task: Annotated[str, typer.Option(help=f"{' or '.join(CLASS_IDS)}.")],
    labels: Annotated[Path | None, typer.Option(help=f"Table of labels; without it {TABLE} of each folder.")] = None,
    classes: Annotated[list[str], typer.Option(help="label=class,… or a .toml file; class `none` is none.")] = [],  # noqa: B006 - Typer copies it
    drop: Annotated[list[str], typer.Option(help="Leave out what has this label.")] = [],  # noqa: B006
    columns: Annotated[str, typer.Option(help="Our name of a column = the table's, separated by commas.")] = "",
    asked: Annotated[str | None, typer.Option(help="Table of what readers were asked: a name or a .toml file.")] = None,
    cropped_by: Annotated[str | None, typer.Option(help="Who cropped the pictures of the folders, in a word.")] = None,
    size: Annotated[int, typer.Option(min=32, max=1024, help="Edge of the stored squares, pixels.")] = 256,
    frames: Annotated[int, typer.Option(min=1, max=256, help="Most frames of a clip, evenly spaced.")] = 16,
    key: Annotated[Path, typer.Option(help="The site's key for patients; made on first use.")] = KEY,
    looked_at: Annotated[Path | None, typer.Option(help="Ids, one a line, in which a person found no text.")] = None,
    sheets: Annotated[Path | None, typer.Option(help="Draw contact sheets here; left out ones as they are.")] = None,
    harmless_names: Annotated[
        bool, typer.Option("--harmless-names", help="File names name nobody: keep them.")
    ] = False,
    tidy: Annotated[bool, typer.Option("--tidy", help="Remove finished work: the next run begins anew.")] = False,
    settings: Annotated[Path | None, typer.Option(help="Settings of the service, for its crop.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line on standard output.")] = False,
) -> None:
    """Make a data set from archived studies and from folders of pictures and clips.

    Example: python -m train collect archive/ --out sets/ours --task lung-signs --labels labels.csv

    Example: python -m train collect lung/ --out sets/lung --task lung-signs --cropped-by publisher
    --classes a_line=a_lines,none=none --asked lung-public
    """
    console = Console(stderr=True)
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # what it warns of quotes element values
    try:
        if task not in CLASS_IDS:
            raise LabelsError(f"no task {task!r}; there are: {', '.join(CLASS_IDS)}")
        table = None if asked is None else asked_of(asked, task)
        reading = Reading(task, mapping_of(classes, task), frozenset(drop), pairs_of(columns), table)
        ids = frozenset((looked_at.read_text(encoding="ascii") if looked_at else "").split())
        wanted = Wanted(out, Sizes(size, frames), cropped_by or "", ids, reading)
        rules = Rules(site_key(key, out), reading, is_harmless=harmless_names)
        made, gone = _collected(_sources(sources, labels), wanted, rules, read_settings(settings))
        if tidy:
            clear_work(out)
        drawn = draw_sheets(sheets, made, gone) if sheets else []
    except (ValueError, SettingsError, OSError) as exc:
        console.print(f"[red]{exc}[/red]", highlight=False)
        raise typer.Exit(2) from exc
    _tell(made, gone, drawn, as_json=as_json)


def _collected(
    sources: Sequence[Source], wanted: Wanted, rules: Rules, settings: Settings
) -> tuple[DataSet, list[LeftOut]]:
    with held(wanted.out), cropper_of(settings) as cropper:
        units = units_of(sources, rules)
        if not wanted.cropped_by and any(is_picture(unit.paths[0]) and not unit.reason for unit in units):
            raise ValueError("say with --cropped-by who cropped the pictures; screens belong in as DICOM objects")
        bench = Bench(wanted.out, wanted.sizes, cropper, wanted.looked_at)
        made, gone = collect(units, wanted, bench, _watched(units))
    return made, gone


def _sources(texts: Sequence[str], table: Path | None) -> list[Source]:
    """`NAME=FOLDER` or a folder; one without a name is numbered, since a folder's own name may name somebody.

    Raises:
        ValueError: no such folder, or one table for several.
    """
    if table is not None and len(texts) > 1:
        raise ValueError("--labels belongs to one folder; several have their own labels.csv each")
    found = []
    for number, text in enumerate(texts, 1):
        name, _, path = text.rpartition("=")
        folder = Path(path)
        if not folder.is_dir() or (table is not None and not table.is_file()):
            raise ValueError(f"no such folder or table: {folder if table is None else table}")
        beside = folder / TABLE
        found.append(Source(name or f"source {number}", folder, table or (beside if beside.is_file() else None)))
    return found


def _watched(units: Sequence[Unit]) -> Any:
    is_quiet = not sys.stderr.isatty()
    return track(units, "Collecting", console=Console(stderr=True), transient=True, disable=is_quiet)


def _tell(made: DataSet, gone: Sequence[LeftOut], drawn: Sequence[Path], *, as_json: bool) -> None:
    told = summary(made, gone)
    if as_json:
        for one in gone:
            print_row({"row": "left_out", **asdict(one)})
        print_row({"row": "data_set", "out": str(made.folder), **told, "sheets": [str(path) for path in drawn]})
        return
    console = Console()
    shown = Table("source", "clips", "patients", "frames", "one sign", *made.class_ids, title=f"{made.folder}")
    for row in told["sources"]:
        counts = [f"{one['clips']} ({one['patients']} p) of {one['asked']}" for one in row["classes"].values()]
        shown.add_row(row["source"], *(str(row[name]) for name in ("clips", "patients", "frames", "single")), *counts)
    console.print(shown)
    if gone:
        listed = Table("left out", "why", "id", title="Left out")
        for one in gone:
            listed.add_row(one.file, f"{one.reason}: {one.meaning}", one.id)
        console.print(listed)
    for row in told["left_out"]:
        console.print(f"{row['clips']} of {row['source']} left out: {row['reason']}", highlight=False)
    console.print(f"Data set {told['digest'][:12]}: {made.folder}", highlight=False)
