"""The commands about what people think of a result: verdicts of readers, and the recall of a wrong one; no logic."""

from pathlib import Path
from typing import Annotated

import typer

from dicom_ai.cli_options import AsJson, DataFolder, SettingsFile, now, settings_of

verdicts_app = typer.Typer(help="What readers said of our findings.")


def add_to(app: typer.Typer) -> None:
    """Hook these commands into `app`."""
    app.command()(verdict)
    app.add_typer(verdicts_app, name="verdicts", no_args_is_help=True)
    app.command()(recall)


def verdict(
    report: Annotated[str, typer.Argument(metavar="SR", help="file of an AI report, or its SOP Instance UID")],
    accept: Annotated[list[str] | None, typer.Option(metavar="ID", help="finding that is right; repeatable")] = None,
    reject: Annotated[list[str] | None, typer.Option(metavar="ID", help="finding that is wrong; repeatable")] = None,
    modify: Annotated[
        list[str] | None, typer.Option(metavar="ID=CLASS", help="finding that is another class; repeatable")
    ] = None,
    by: Annotated[str, typer.Option(help="the reader, as a Person Name: Muster^Erika")] = "",
    organisation: Annotated[str, typer.Option(help="of the reader")] = "",
    out: Annotated[Path | None, typer.Option("--out", help="file for the document")] = None,
    send: Annotated[bool, typer.Option("--send", help="to every destination that has the report")] = False,
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """Say which findings of an AI report are right, as a verified report beside it; without options, list them.

    Example: dicom-ai verdict report.dcm --accept 1 --modify 2=consolidation --by Muster^Erika --organisation Clinic
    """
    from dicom_ai.commands import verdict as verdicts

    said = verdicts.Said(tuple(accept or ()), tuple(reject or ()), tuple(modify or ()), by, organisation)
    known = settings_of(settings, data=data)
    raise typer.Exit(verdicts.verdict(report, said, known, out=out, send=send, clock=now))


@verdicts_app.command("list")
def verdicts_list(
    identity: Annotated[bool, typer.Option("--identity", help="show who the readers are")] = False,
    json_rows: AsJson = False,
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """List the verdicts in force: of each report the last verified one, a line per finding that was assessed.

    Example: dicom-ai verdicts list --json
    """
    from dicom_ai.commands import verdict as verdicts

    known = settings_of(settings, data=data)
    raise typer.Exit(verdicts.list_verdicts(known, with_identity=identity, as_json=json_rows))


def recall(
    target: Annotated[str, typer.Argument(metavar="STUDY|UID", help="id of a study, or SOP Instance UID of a report")],
    by: Annotated[str, typer.Option(help="who recalls it, as a Person Name; stands in the note")],
    why: Annotated[str, typer.Option(help="sentence for readers; stands in the note")],
    json_rows: AsJson = False,
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """Take a wrong result back: what waits never goes, and a rejection note follows what has arrived.

    Example: dicom-ai recall s3f9c2a17b --by Muster^Erika --why "The images are of another patient."
    """
    from dicom_ai.commands import recall as recalls

    known = settings_of(settings, data=data)
    raise typer.Exit(recalls.recall(target, known, by=by, why=why, clock=now, as_json=json_rows))
