"""The administrator's commands: is everything well, what came, what waits, what must be decided; no logic.

Each command reads its options, hands them to a module named after it and ends with that module's exit code:
0 nothing failed, 1 something failed, 2 usage or settings.
"""

from pathlib import Path
from typing import Annotated

import typer

from dicom_ai.cli_options import AsJson, DataFolder, Paths, SettingsFile, now, settings_of
from dicom_ai.cli_quarantine import quarantine_app

rules_app = typer.Typer(help="Which exam is which task: the table in force, and why an object took its row.")
conflicts_app = typer.Typer(help="Objects that contradict each other, for a person to decide.")
studies_app = typer.Typer(help="What was received and what became of it.")
deliveries_app = typer.Typer(help="What goes to which destination, what is held and what was given up.")


def add_to(app: typer.Typer) -> None:
    """Hook the administrator's commands and groups into `app`."""
    for command in (doctor, alarms, show, validate):
        app.command()(command)
    for name, group in (
        ("studies", studies_app),
        ("deliveries", deliveries_app),
        ("conflicts", conflicts_app),
        ("quarantine", quarantine_app),
        ("rules", rules_app),
    ):
        app.add_typer(group, name=name, no_args_is_help=True)


@rules_app.command("list")
def rules_list(json_rows: AsJson = False, settings: SettingsFile = None, data: DataFolder = None) -> None:
    """Print the routing table in force, with its version, who put it there and when.

    Example: dicom-ai rules list
    """
    from dicom_ai.commands import rules

    raise typer.Exit(rules.show(settings_of(settings, data=data), as_json=json_rows))


@rules_app.command("test")
def rules_test(
    paths: Paths,
    calling: Annotated[str, typer.Option(help="AE title of the device that would send it")] = "",
    called: Annotated[str | None, typer.Option(help="AE title it would call; default: receive.ae_title")] = None,
    site: Annotated[Path | None, typer.Option(help="a site file that is not in force yet")] = None,
    json_rows: AsJson = False,
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """Say which row of the table takes each file, and of every other row which field does not match.

    Example: dicom-ai rules test exam/ --calling LOGIQ_E9_1 --site deploy/site.toml
    """
    from dicom_ai.commands import rules

    question = rules.Question(tuple(paths), calling, called, site)
    raise typer.Exit(rules.test(question, settings_of(settings, data=data), as_json=json_rows))


@studies_app.command("list")
def studies_list(
    since: Annotated[str | None, typer.Option(help="30m, 12h, 3d (ago), or a date such as 2026-11-20")] = None,
    state: Annotated[
        str | None, typer.Option(help="attention, receiving, analysing, held, delivering or done", metavar="STATE")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="at most so many, the newest; 0: all")] = 50,
    json_rows: AsJson = False,
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """List studies: objects, result, deliveries and what needs a person, the newest first.

    Example: dicom-ai studies list --since 12h --state attention
    """
    from dicom_ai.commands import overview

    choice = overview.Choice(since, state, limit)
    raise typer.Exit(overview.list_studies(choice, settings_of(settings, data=data), now(), as_json=json_rows))


@studies_app.command("show")
def studies_show(
    study: Annotated[str, typer.Argument(metavar="ID", help="id from `studies list`, or its first digits")],
    identity: Annotated[bool, typer.Option("--identity", help="show who the patient is")] = False,
    json_rows: AsJson = False,
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """Tell the story of one study in the order of time.

    Example: dicom-ai studies show s3f9c2a17b
    """
    from dicom_ai.commands import overview

    known = settings_of(settings, data=data)
    raise typer.Exit(overview.show_study(study, known, with_identity=identity, as_json=json_rows))


@studies_app.command("again")
def studies_again(
    study: Annotated[str, typer.Argument(metavar="ID", help="id from `studies list`, or its first digits")],
    by: Annotated[str, typer.Option(help="who asks for it; kept with the event")] = "cli",
    json_rows: AsJson = False,
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """Route, crop and analyse a study anew, after what was in its way was removed.

    Example: dicom-ai studies again s3f9c2a17b --by "night shift"
    """
    from dicom_ai.commands.again import again

    raise typer.Exit(again(study, settings_of(settings, data=data), by=by, clock=now, as_json=json_rows))


def doctor(json_rows: AsJson = False, settings: SettingsFile = None, data: DataFolder = None) -> None:
    """Look at everything the service stands on: each line OK or what to do. Beside a running service or before it.

    Example: dicom-ai doctor
    """
    from dicom_ai.commands import doctor as examination

    raise typer.Exit(examination.doctor(settings_of(settings, data=data), now(), as_json=json_rows))


def validate(
    paths: Paths,
    values: Annotated[bool, typer.Option("--values", help="show values too; they may name the patient")] = False,
    without: Annotated[
        list[str] | None, typer.Option(help="dciodvfy, dcentvfy, dsrdump, pixelmed or points; may be repeated")
    ] = None,
    json_rows: AsJson = False,
) -> None:
    """Ask the validators a PACS team would use (dciodvfy, dcentvfy, dsrdump, PixelMed) and our own list about files.

    Give results together with their sources: the list compares them.

    Example: dicom-ai validate exam/ results/
    """
    from dicom_ai.commands import validate as validators

    left_out = frozenset(without or ())
    raise typer.Exit(validators.validate(paths, with_values=values, as_json=json_rows, without=left_out))


def show(
    report: Annotated[Path, typer.Argument(help="DICOM file of a structured report", metavar="SR")],
    html: Annotated[Path | None, typer.Option("--html", help="write a page for a browser instead")] = None,
) -> None:
    """Print a report as a radiologist reads it: answers, warning, images, measurements. Nothing names the patient.

    Example: dicom-ai show results/2.25.7.dcm --html report.html
    """
    from dicom_ai.commands import show as reading

    raise typer.Exit(reading.show(report, html))


def alarms(
    everything: Annotated[bool, typer.Option("--all", help="those that are over as well")] = False,
    json_rows: AsJson = False,
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """List what a person must look at, each with what to do.

    Example: dicom-ai alarms
    """
    from dicom_ai.commands import overview

    raise typer.Exit(overview.list_alarms(settings_of(settings, data=data), everything=everything, as_json=json_rows))


@deliveries_app.command("list")
def deliveries_list(
    state: Annotated[list[str] | None, typer.Option(help="queued, held, dead, sent, confirmed or unverified")] = None,
    study: Annotated[str | None, typer.Option(help="id of a study, or its first digits")] = None,
    destination: Annotated[str | None, typer.Option(help="name of a destination")] = None,
    limit: Annotated[int, typer.Option(min=0, help="at most so many, the newest; 0: all")] = 100,
    json_rows: AsJson = False,
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """List deliveries: state, reason, last DIMSE status, attempts and next time.

    Example: dicom-ai deliveries list --state dead --state held
    """
    from dicom_ai.commands import deliveries
    from dicom_ai.store.overview import Wanted

    wanted = Wanted((), tuple(state or ()), study, destination)
    known = settings_of(settings, data=data)
    raise typer.Exit(deliveries.list_deliveries(wanted, known, now(), limit=limit, as_json=json_rows))


@deliveries_app.command("retry")
def deliveries_retry(
    number: Annotated[list[int] | None, typer.Option("--id", help="number of a delivery; may be repeated")] = None,
    study: Annotated[str | None, typer.Option(help="all of this study")] = None,
    destination: Annotated[str | None, typer.Option(help="all to this destination")] = None,
    all_dead: Annotated[bool, typer.Option("--all-dead", help="only what was given up; all of it if alone")] = False,
    by: Annotated[str, typer.Option(help="who asks for it; kept with the event")] = "cli",
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """Send at once what was given up or waits for its next time; what is held stays held.

    Example: dicom-ai deliveries retry --destination pacs
    """
    from dicom_ai.commands import deliveries
    from dicom_ai.store.overview import Wanted

    wanted = Wanted(tuple(number or ()), ("dead",) if all_dead else (), study, destination)
    raise typer.Exit(deliveries.retry(wanted, settings_of(settings, data=data), by=by, clock=now))


@deliveries_app.command("release")
def deliveries_release(
    number: Annotated[list[int] | None, typer.Option("--id", help="number of a delivery; may be repeated")] = None,
    study: Annotated[str | None, typer.Option(help="all of this study")] = None,
    destination: Annotated[str | None, typer.Option(help="all to this destination")] = None,
    by: Annotated[str, typer.Option(help="who releases; kept with the event")] = "cli",
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """Let results go out that wait for a person; results of a demonstration go to test destinations only.

    Example: dicom-ai deliveries release --study s3f9c2a17b --by radiology
    """
    from dicom_ai.commands import release
    from dicom_ai.store.overview import Wanted

    wanted = Wanted(tuple(number or ()), (), study, destination)
    raise typer.Exit(release.release(wanted, settings_of(settings, data=data), by=by, clock=now))


@conflicts_app.command("list")
def conflicts_list(
    everything: Annotated[bool, typer.Option("--all", help="those refused or resolved as well")] = False,
    identity: Annotated[bool, typer.Option("--identity", help="show the patients, for whoever must decide")] = False,
    json_rows: AsJson = False,
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """Show objects that contradict each other: in what, what there is to choose, which results to recall.

    Example: dicom-ai conflicts list --identity
    """
    from dicom_ai.commands import conflicts

    asked = settings_of(settings, data=data)
    raise typer.Exit(conflicts.list_conflicts(asked, everything=everything, with_identity=identity, as_json=json_rows))


@conflicts_app.command("resolve")
def conflicts_resolve(
    conflict: Annotated[int, typer.Argument(metavar="ID", help="number of the conflict, from the list")],
    choose: Annotated[str, typer.Option(help="kept or new; of two patients, the number the list shows")],
    by: Annotated[str | None, typer.Option(help="who decides; default: the operating-system user")] = None,
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """Decide a conflict: what is chosen stands, the other is kept but set aside, and results follow.

    Example: dicom-ai conflicts resolve 3 --choose new
    """
    from dicom_ai.commands import conflicts

    decision = conflicts.Decision(conflict, choose, by or conflicts.operating_user())
    raise typer.Exit(conflicts.resolve(settings_of(settings, data=data), decision, now))
