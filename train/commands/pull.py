"""`python -m train pull`: studies of an archive to a folder, which `python -m train collect` takes."""

import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from dicom_ai.archive.filters import Filters, accessions_in
from dicom_ai.archive.judged import WORDS
from dicom_ai.archive.pace import Hours, Pace, Rate
from dicom_ai.archive.plan import Plan
from dicom_ai.deliver.address import parse_address
from dicom_ai.errors import PeerError, ResourceError, SettingsError
from dicom_ai.pulling import Puller, pull
from dicom_ai.pulling_from import Origin, opened
from dicom_ai.pulling_intake import Intake
from dicom_ai.rows import print_row, print_table
from dicom_ai.settings import Settings, read_settings
from dicom_ai.store.files import ObjectStore

_DAY = ["%Y-%m-%d"]
Tell = Callable[[dict[str, Any]], None]


def command(
    out: Annotated[Path, typer.Option(help="Folder of the objects, for you alone: they name their patients.")],
    archive: Annotated[
        str, typer.Option("--from", metavar="AE@HOST:PORT", help="An archive, by C-FIND and C-GET.")
    ] = "",
    move: Annotated[str, typer.Option(metavar="AE@HOST:PORT", help="By C-MOVE to us, as it knows us.")] = "",
    sender: Annotated[str, typer.Option(metavar="AE", help="With --move: who sends, if not the archive's AE.")] = "",
    dicomweb: Annotated[str, typer.Option(metavar="URL", help="A DICOMweb service.")] = "",
    authorization: Annotated[Path | None, typer.Option(help="File with the HTTP header Authorization for it.")] = None,
    folder: Annotated[Path | None, typer.Option(help="A folder of DICOM files instead of an archive.")] = None,
    since: Annotated[datetime | None, typer.Option(formats=_DAY, help="First day of the studies.")] = None,
    until: Annotated[datetime | None, typer.Option(formats=_DAY, help="Last day of the studies.")] = None,
    accessions: Annotated[Path | None, typer.Option(help="CSV of accession numbers: their studies alone.")] = None,
    modality: Annotated[str, typer.Option(help="Of the series.")] = "US",
    device: Annotated[str, typer.Option(help="Manufacturer and model, with * and ?.")] = "",
    station: Annotated[str, typer.Option(help="Station name, with * and ?.")] = "",
    description: Annotated[str, typer.Option(help="Study description, with * and ?.")] = "",
    between: Annotated[str, typer.Option(metavar="HH:MM-HH:MM", help="Ask at these hours only, site's time.")] = "",
    rate: Annotated[str, typer.Option(help="At most this much: 5/s, 30/min or 2MiB/s.")] = "",
    settings: Annotated[Path | None, typer.Option(help="Settings of the service: AE title, limits, time zone.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line on standard output.")] = False,
) -> None:
    """Pull archived studies into a folder; the same command again goes on where this one ended, however it ended.

    What was not asked for, is of another patient or breaks off is refused and listed, and never lies in the folder;
    the command then ends with 1, as it does while anything is missing.

    Example: python -m train pull --from PACS@192.0.2.7:104 --out pulled --since 2025-01-01 --until 2025-06-30
    --device "GE*LOGIQ E9*" --between 20:00-06:00 --rate 5/s

    Example: python -m train pull --from PACS@192.0.2.7:104 --move DICOM_AI@0.0.0.0:11113 --out pulled
    --accessions list.csv

    Then: python -m train collect pulled --out sets/ours --task lung-signs
    """
    try:
        origin = Origin(
            archive=parse_address(archive) if archive else None,
            receiver=parse_address(move) if move else None,
            sender=sender,
            dicomweb=dicomweb,
            authorization=_secret(authorization),
            folder=folder,
        )
        filters = Filters(
            since.date() if since else None, until.date() if until else None, modality=modality, device=device,
            station=station, description=description, accessions=accessions_in(accessions) if accessions else (),
        )  # fmt: skip
        known = read_settings(settings)
        raise typer.Exit(_pulled(out, origin, filters, _pace(between, rate, known), known, as_json=as_json))
    except (ValueError, SettingsError, OSError) as exc:
        Console(stderr=True).print(f"[red]{exc}[/red]", highlight=False)
        raise typer.Exit(2) from exc


def _pace(between: str, rate: str, settings: Settings) -> Pace:
    hours, speed = Hours.of(between) if between else None, Rate.of(rate) if rate else None
    zone = ZoneInfo(settings.site.timezone)
    return Pace(hours, speed, lambda: datetime.now(zone), time.monotonic, time.sleep)  # noqa: TID251 - as cli.py


def _pulled(out: Path, origin: Origin, filters: Filters, pace: Pace, settings: Settings, *, as_json: bool) -> int:
    if origin.folder is not None and (not origin.folder.is_dir() or _overlap(origin.folder, out)):
        raise ValueError("--folder is a folder, and --out another one outside of it")
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # what it warns of quotes element values,
    warnings.simplefilter("ignore")  # and so does what it says in this way
    plan = Plan(out, {"from": origin.question(), **filters.question()})
    trouble = ""
    try:
        intake = Intake(plan, ObjectStore(out, min_free_mib=settings.store.min_free_mib), filters, pace.took)
        with opened(origin, intake, settings.deliver, settings.receive) as source, _watched() as tell:
            pull(Puller(source, intake, filters, pace), tell)
    except (PeerError, ResourceError) as exc:
        trouble = str(exc)
    try:
        return _tell(plan, out, trouble, as_json=as_json)
    finally:
        plan.close()


def _overlap(one: Path, other: Path) -> bool:
    a, b = one.resolve(), other.resolve()
    return a == b or a in b.parents or b in a.parents


def _secret(file: Path | None) -> str:
    if file is None:
        return ""
    if file.stat().st_mode & 0o077:
        raise ValueError(f"others may read {file}: run chmod 600 on it")
    said = file.read_text(encoding="ascii").strip()
    if not said or not said.isprintable():
        raise ValueError(f"{file} holds one line, as: Bearer …")
    return said


@contextmanager
def _watched() -> Iterator[Tell]:
    """A bar of studies with the time that is left, where somebody watches."""
    columns = (
        TextColumn("Pulling"), BarColumn(), MofNCompleteColumn(), TextColumn("studies, {task.fields[told]}"),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    quiet = not sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet) as progress:
        task = progress.add_task("", total=None, told="")

        def tell(counts: dict[str, Any]) -> None:
            told = f"{counts['have']} objects, {counts['bytes'] / (1 << 20):.0f} MiB"
            progress.update(task, total=counts["studies"], completed=counts["studies_done"], told=told)

        yield tell


def _tell(plan: Plan, out: Path, trouble: str, *, as_json: bool) -> int:
    counts, refused = plan.counts(), plan.refusals()
    is_complete = (
        not trouble and plan.is_listed and not counts["wanted"] and counts["studies"] == counts["studies_done"]
    )
    if as_json:
        for one in refused:
            print_row(
                {"row": "refused", "study": one.study, "object": one.uid, "reason": one.word, "times": one.count,
                 "meaning": WORDS[one.word]}
            )  # fmt: skip
        print_row({"row": "pull", "out": str(out), **counts, "complete": is_complete, "trouble": trouble or None})
    else:
        lines = [(one.word, WORDS[one.word], one.study, one.uid, one.count) for one in refused]
        if lines:
            print_table("Refused or missing", ("reason", "meaning", "study", "object", "times"), lines)
        print_table(f"{out}", tuple(counts), [tuple(counts.values())])
        if trouble:
            Console(stderr=True).print(f"[red]{trouble}; the same command goes on from here[/red]", highlight=False)
    return 0 if is_complete and not refused else 1
