"""The commands about archived studies: have the service pull some, and see how far it is; no logic."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from dicom_ai.cli_options import AsJson, DataFolder, SettingsFile, logged, now, settings_of

_DAY = ["%Y-%m-%d"]

archive_app = typer.Typer(help="Archived studies, pulled by the service when it has nothing else to do.")


def add_to(app: typer.Typer) -> None:
    """Hook these commands into `app`."""
    app.add_typer(archive_app, name="archive", no_args_is_help=True)


@archive_app.command("pull")
def archive_pull(
    name: Annotated[str, typer.Argument(help="of the order and its folder: small letters, digits, dashes")],
    archive: Annotated[str, typer.Option("--from", help="name of a destination in the site's tables")],
    move: Annotated[str, typer.Option(metavar="AE@HOST:PORT", help="by C-MOVE to us there; else by C-GET")] = "",
    sender: Annotated[str, typer.Option(metavar="AE", help="with --move: who sends, if not the archive's AE")] = "",
    since: Annotated[datetime | None, typer.Option(formats=_DAY, help="first day of the studies")] = None,
    until: Annotated[datetime | None, typer.Option(formats=_DAY, help="last day of the studies")] = None,
    accessions: Annotated[Path | None, typer.Option(help="CSV of accession numbers: their studies alone")] = None,
    modality: Annotated[str, typer.Option(help="of the series")] = "US",
    device: Annotated[str, typer.Option(help="manufacturer and model, with * and ?")] = "",
    station: Annotated[str, typer.Option(help="station name, with * and ?")] = "",
    description: Annotated[str, typer.Option(help="study description, with * and ?")] = "",
    between: Annotated[str, typer.Option(metavar="HH:MM-HH:MM", help="at these hours only, site's time")] = "",
    rate: Annotated[str, typer.Option(help="at most this much: 5/s, 30/min or 2MiB/s")] = "",
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """Order archived studies; the running service pulls them one by one while no live study waits for an analysis.

    They lie in the data folder under pulls/NAME, for `python -m train collect`. The order survives every restart; the
    same order again tries once more what failed.

    Example: dicom-ai archive pull spring --from pacs --since 2025-03-01 --until 2025-05-31 --between 20:00-06:00
    """
    from dicom_ai.commands import archive as archives

    known = logged(settings_of(settings, data=data))
    words = {
        "archive": archive, "receiver": move, "sender": sender, "modality": modality, "device": device,
        "station": station, "description": description, "between": between, "rate": rate,
        "since": since.date() if since else None, "until": until.date() if until else None,
    }  # fmt: skip
    raise typer.Exit(archives.pull(known, name, words, accessions, clock=now))


@archive_app.command("list")
def archive_list(json_rows: AsJson = False, settings: SettingsFile = None, data: DataFolder = None) -> None:
    """List orders: how many studies and objects are there, and what was refused.

    Example: dicom-ai archive list
    """
    from dicom_ai.commands import archive as archives

    raise typer.Exit(archives.show(settings_of(settings, data=data), as_json=json_rows))
