"""The command `dicom-ai`: commands, options and exit codes; no logic.

Exit codes: 0 nothing failed, 1 something failed, 2 usage or settings, 3 another instance holds the data folder.
With `--json` one object per line goes to standard output; logs always go to standard error. Quarantine is an
answer, not a failure.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from dicom_ai import __version__, cli_admin, cli_archive, cli_bench, cli_models, cli_verdict, preflight
from dicom_ai.cli_options import AsJson, DataFolder, InOrder, Paths, SettingsFile, To, logged, settings_of
from dicom_ai.errors import DataFolderInUse, DicomAIError, SettingsError

app = typer.Typer(
    name="dicom-ai",
    cls=InOrder,
    help="Ultrasound AI gateway: receives scans, crops, classifies and returns DICOM reports to the PACS.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
simulate_app = typer.Typer(help="A scanner or a PACS that exists only on this machine.", no_args_is_help=True)
app.add_typer(simulate_app, name="simulate")
app.add_typer(cli_bench.bench_app, name="bench")
cli_admin.add_to(app)
cli_verdict.add_to(app)
cli_archive.add_to(app)
cli_models.add_to(app)


def main() -> None:
    """Run the command line; every error of ours becomes one sentence and an exit code."""
    preflight.require_libraries()
    try:
        app()
    except SettingsError as exc:
        sys.stderr.write(f"{exc}\n")
        raise SystemExit(2) from None
    except DataFolderInUse as exc:
        sys.stderr.write(f"{exc}\n")
        raise SystemExit(3) from None
    except DicomAIError as exc:
        sys.stderr.write(f"{exc}\n")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="print the version and end")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
def serve(
    settings: SettingsFile = None,
    data: DataFolder = None,
    port: Annotated[int | None, typer.Option(help="DICOM port; 0 takes a free one")] = None,
    roles: Annotated[str, typer.Option(help="processes to run, comma separated")] = "receive,work",
) -> None:
    """Receive, store, crop, classify, report and deliver until stopped (Ctrl-C or SIGTERM).

    Prints one JSON line when ready: {"ready":true,"ae","port","web","pid","version"}.

    Example: dicom-ai serve --settings dicom_ai.toml
    """
    from dicom_ai import service

    raise typer.Exit(
        service.serve(logged(settings_of(settings, data=data, port=port)), [r for r in roles.split(",") if r])
    )


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="end by itself when the results are in the PACS")] = False,
    data: Annotated[Path, typer.Option(help="folder of the demonstration; emptied at start")] = Path("demo-data"),
    seed: Annotated[int, typer.Option(help="seed of the simulated patients")] = 1,
) -> None:
    """Show the whole way on this machine: a simulated LOGIQ E9, the service, a simulated PACS.

    Example: dicom-ai demo --once
    """
    from dicom_ai.commands import demonstration

    raise typer.Exit(demonstration.run(data, seed=seed, once=once, clock=lambda: datetime.now(UTC)))


@app.command()
def analyse(
    paths: Paths,
    out: Annotated[Path, typer.Option("--out", help="folder for reports and captures")],
    task: Annotated[str | None, typer.Option(help="lung-signs or uterine-lesions; default: the site's routes")] = None,
    model: Annotated[Path | None, typer.Option(help="model folder; default: the demonstration model")] = None,
    time: Annotated[str | None, typer.Option(help="content time, YYYYMMDDHHMMSS; default: latest of the set")] = None,
    json_rows: AsJson = False,
    settings: SettingsFile = None,
) -> None:
    """Analyse files without a service: one row per file, then one per source set; nothing is sent.

    Example: dicom-ai analyse exam/ --out results --task lung-signs
    """
    from dicom_ai.commands import offline

    request = offline.Request(tuple(paths), out, task=task, model=model, time=time)
    raise typer.Exit(offline.analyse(request, logged(settings_of(settings)), as_json=json_rows))


@app.command()
def crop(
    paths: Paths,
    png: Annotated[Path | None, typer.Option("--png", help="folder for a picture of what is kept of each file")] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            "--export",
            help="folder for de-identified DICOM objects, proven free of identity, and their manifest.jsonl; "
            "pseudonyms come from the secret in site.json of the data folder",
        ),
    ] = None,
    json_rows: AsJson = False,
    settings: SettingsFile = None,
) -> None:
    """Show what the crop keeps of each file, or why it keeps nothing; write it as de-identified objects.

    Example: dicom-ai crop exam/ --png pictures

    Example: dicom-ai crop exam/ --export research
    """
    from dicom_ai.commands import offline_crop

    folders = offline_crop.Folders(png, export)
    raise typer.Exit(offline_crop.crop(paths, folders, logged(settings_of(settings)), as_json=json_rows))


@app.command()
def send(
    paths: Paths,
    to: To,
    from_ae: Annotated[str, typer.Option("--from", help="our AE title for this call")] = "DICOM_AI",
    json_rows: AsJson = False,
    settings: SettingsFile = None,
) -> None:
    """Send files or folders as they are; one association per study.

    Example: dicom-ai send exam/ --to PACS@192.0.2.7:104
    """
    from dicom_ai.commands import network

    raise typer.Exit(network.send(paths, to, from_ae, settings_of(settings), as_json=json_rows))


@app.command()
def echo(to: To, settings: SettingsFile = None) -> None:
    """Ask a node whether it is there (C-ECHO).

    Example: dicom-ai echo --to PACS@192.0.2.7:104
    """
    from dicom_ai.commands import network

    raise typer.Exit(network.echo(to, settings_of(settings)))


@app.command()
def apply(
    site: Annotated[Path, typer.Argument(help="site file: peers, routes, destinations")] = Path("deploy/site.toml"),
    by: Annotated[str, typer.Option(help="who puts it into force; kept with the version")] = "cli",
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """Put a site file into force: a new version in the ledger, read by the running service within seconds.

    Example: dicom-ai apply deploy/site.toml --by ana
    """
    from dicom_ai import service

    typer.echo(service.apply_site(site, by, settings_of(settings, data=data)))


@app.command()
def reasons(json_rows: AsJson = False) -> None:
    """Print the closed list of reasons: what each means and what to do.

    Example: dicom-ai reasons
    """
    from dicom_ai import rows

    rows.print_reasons(as_json=json_rows)


@simulate_app.command("scanner")
def simulate_scanner(
    to: To,
    device: Annotated[
        str,
        typer.Option(help="logiq-e9, voluson-e10, epiq-7c, aplio-i800, samsung-ws80a or mindray-nuewa-r9s"),
    ] = "logiq-e9",
    exam: Annotated[str, typer.Option(help="lung or uterus")] = "lung",
    studies: Annotated[int, typer.Option(min=1, help="number of studies")] = 1,
    seed: Annotated[int, typer.Option(help="seed of patients and pictures")] = 1,
    rate: Annotated[float, typer.Option(min=0, help="objects per second; 0: as fast as it goes")] = 0.0,
    abort_at: Annotated[int | None, typer.Option(help="abort the association in the middle of object K")] = None,
    manners: Annotated[
        list[str] | None,
        typer.Option(
            help="one-by-one[:PAUSE_MS], repeat:N[:PAUSE_MS], wrong-syntax:K, deflated[:only], padded-uids, "
            "commit:PORT; repeatable"
        ),
    ] = None,
    charset: Annotated[
        str | None, typer.Option(help="character set of the patients, as GB18030 or 'ISO 2022 IR 87'; default: by seed")
    ] = None,
) -> None:
    """Send drawn studies as a scanner does; one JSON line per object.

    Example: dicom-ai simulate scanner --exam lung --studies 3 --to DICOM_AI@127.0.0.1:11112
    """
    from dicom_ai.commands import network

    plan = network.ScannerPlan(device, exam, studies, seed, rate, abort_at, manners or (), charset)
    raise typer.Exit(network.simulate_scanner(plan, to))


@simulate_app.command("pacs")
def simulate_pacs(
    out: Annotated[Path, typer.Option(help="folder for what is received")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="DICOM port; 0 takes a free one")] = 4242,
    manners: Annotated[
        list[str] | None,
        typer.Option(help="slow:MS, refuse:SOPCLASS, status:HEX[:SOPCLASS], vanish:S or lose; may be repeated"),
    ] = None,
) -> None:
    """Be a PACS that writes down what it receives; one JSON line per object.

    Example: dicom-ai simulate pacs --out received --manners slow:250
    """
    from dicom_ai.commands import network

    raise typer.Exit(network.simulate_pacs(port, out, manners or [], lambda: datetime.now(UTC)))
