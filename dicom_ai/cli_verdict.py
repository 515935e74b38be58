"""The commands about what people think of a result: verdicts of readers, and the recall of a wrong one; no logic."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from dicom_ai.cli_options import AsJson, DataFolder, SettingsFile, logged, now, settings_of

_DAY = ["%Y-%m-%d"]
Texts = list[str] | None

Report = Annotated[str, typer.Argument(metavar="SR", help="file of an AI report, or its SOP Instance UID")]
Accept = Annotated[Texts, typer.Option(metavar="ID|all", help="finding that is right; repeatable")]
Reject = Annotated[Texts, typer.Option(metavar="ID|all", help="finding that is wrong; repeatable")]
Modify = Annotated[Texts, typer.Option(metavar="ID=CLASS", help="finding that is of another class; repeatable")]
Outline = Annotated[
    Texts, typer.Option(metavar="ID:POINTS", help="your outline of a finding, which is modified by that; repeatable")
]
Missed = Annotated[Texts, typer.Option(metavar="CLASS", help="finding the AI lacks, with a --region; repeatable")]
Region = Annotated[
    Texts,
    typer.Option(metavar="IMAGE:FRAME:POINTS", help="where it is (on a still IMAGE:POINTS); one for each --missed"),
]
Reason = Annotated[
    Texts, typer.Option(metavar="TEXT|ID=TEXT", help="why, for all findings of the call or for one; in the report")
]
By = Annotated[str, typer.Option(help="the reader, as a Person Name: Muster^Erika")]
Organisation = Annotated[str, typer.Option(help="of the reader")]
ByCode = Annotated[str, typer.Option(metavar="VALUE^SCHEME^MEANING", help="code of the reader, where the site has one")]
Out = Annotated[Path | None, typer.Option("--out", help="file for the document")]
Send = Annotated[bool, typer.Option("--send", help="to every destination that has the report")]


verdicts_app = typer.Typer(help="What readers said of our findings.")


def add_to(app: typer.Typer) -> None:
    """Hook these commands into `app`."""
    app.command()(verdict)
    app.add_typer(verdicts_app, name="verdicts", no_args_is_help=True)
    app.command()(recall)


def verdict(
    report: Report,
    accept: Accept = None,
    reject: Reject = None,
    modify: Modify = None,
    outline: Outline = None,
    missed: Missed = None,
    region: Region = None,
    reason: Reason = None,
    by: By = "",
    organisation: Organisation = "",
    by_code: ByCode = "",
    out: Out = None,
    send: Send = False,
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """Say which findings of an AI report are right, as a verified report beside it; without options, list them.

    What is not named is not assessed and becomes no label. POINTS are corners x,y (column, row) in pixels of the whole
    image, with spaces between them. The AI report itself is never altered.

    Its findings and images with their numbers:
    dicom-ai verdict report.dcm

    Everything is right:
    Example: dicom-ai verdict report.dcm --accept all --by Muster^Erika --organisation Clinic --send

    Finding 1 is wrong, 2 is a consolidation, the rest is right:
    dicom-ai verdict report.dcm --reject 1 --reason "1=rib shadow" --modify 2=consolidation --accept all
    --by Muster^Erika --organisation Clinic --out verdict.dcm

    An effusion was missed in frame 12 of image 3:
    dicom-ai verdict report.dcm --missed pleural_effusion --region "3:12:300,200 340,200 340,240"
    --by Muster^Erika --organisation Clinic --by-code "4711^99CLINIC^Erika Muster" --send
    """
    from dicom_ai.commands import verdict as verdicts
    from dicom_ai.commands.said import Said

    said = Said(
        accept=accept or (),
        reject=reject or (),
        modify=modify or (),
        outline=outline or (),
        missed=missed or (),
        region=region or (),
        reason=reason or (),
        by=by,
        organisation=organisation,
        by_code=by_code,
    )
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


@verdicts_app.command("collect")
def verdicts_collect(
    since: Annotated[
        datetime | None,
        typer.Option("--from", formats=_DAY, metavar="YYYY-MM-DD", help="day of our reports, the first"),
    ] = None,
    until: Annotated[
        datetime | None, typer.Option("--to", formats=_DAY, metavar="YYYY-MM-DD", help="day of our reports, the last")
    ] = None,
    destination: Annotated[str, typer.Option(help="name of one archive in the site's tables, or all")] = "all",
    json_rows: AsJson = False,
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """Ask the archives for readers' verdicts on our reports and write them into the ledger; again does no harm.

    Asked are the destinations that have our reports, by C-FIND and C-GET (where an archive only sends, C-MOVE to our
    receiver), about the studies we reported on, day by day. What is no verdict on a report of ours is left alone; what
    claims to be one and names another patient, study or image is refused and listed, and the command ends with 1.

    Example: dicom-ai verdicts collect --from 2026-01-01 --destination pacs
    """
    from dicom_ai.commands import collect

    known = logged(settings_of(settings, data=data))
    days = since.date() if since else None, until.date() if until else None
    raise typer.Exit(collect.collect(known, days, destination, clock=now, as_json=json_rows))


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
