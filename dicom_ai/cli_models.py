"""The commands about models: which are here, whose signature counts, which answers for a task; no logic."""

from pathlib import Path
from typing import Annotated

import typer

from dicom_ai.cli_options import AsJson, DataFolder, SettingsFile, logged, now, settings_of

models_app = typer.Typer(help="Models: which are here and sound, whose signature counts, which answers for a task.")

By = Annotated[str, typer.Option(help="who decides; kept in the ledger")]
Model = Annotated[str, typer.Argument(metavar="DIGEST", help="card digest, or its first 8 digits or more")]


def add_to(app: typer.Typer) -> None:
    """Hook these commands into `app`."""
    app.add_typer(models_app, name="models", no_args_is_help=True)


@models_app.command("list")
def models_list(json_rows: AsJson = False, settings: SettingsFile = None, data: DataFolder = None) -> None:
    """List the models: grade, who signed, which answers for its task, and what is wrong with one that cannot.

    Example: dicom-ai models list
    """
    from dicom_ai.commands import model_folders

    raise typer.Exit(model_folders.list_models(settings_of(settings, data=data), as_json=json_rows))


@models_app.command("verify")
def models_verify(
    model: Annotated[
        str | None, typer.Argument(metavar="[DIGEST|FOLDER]", help="one model; default: every one that is here")
    ] = None,
    json_rows: AsJson = False,
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """Check signature and files, and whether this device reproduces the stored outputs.

    Example: dicom-ai models verify
    """
    from dicom_ai.commands import model_folders

    known = logged(settings_of(settings, data=data))
    raise typer.Exit(model_folders.verify(model, known, as_json=json_rows))


@models_app.command("activate")
def models_activate(model: Model, by: By = "cli", settings: SettingsFile = None, data: DataFolder = None) -> None:
    """Let a model answer for its task from now on, once signature, files and device are proven.

    Example: dicom-ai models activate 3f9c2a17b4d0 --by "A. Person"
    """
    from dicom_ai.commands import model_folders

    known = logged(settings_of(settings, data=data))
    raise typer.Exit(model_folders.activate(model, known, by=by, clock=now))


@models_app.command("retire")
def models_retire(model: Model, by: By = "cli", settings: SettingsFile = None, data: DataFolder = None) -> None:
    """Let a model be used no more; nothing answers for its task until another one is activated.

    Example: dicom-ai models retire 3f9c2a17b4d0 --by "A. Person"
    """
    from dicom_ai.commands import model_folders

    raise typer.Exit(model_folders.retire(model, settings_of(settings, data=data), by=by, clock=now))


@models_app.command("trust")
def models_trust(
    key: Annotated[Path, typer.Argument(metavar="KEY.pub", help="public key of a person who signs models")],
    by: By = "cli",
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """Let signatures of a public key count; compare the id it prints with the one its owner names.

    Example: dicom-ai models trust key.pub --by "A. Person"
    """
    from dicom_ai.commands import model_keys

    raise typer.Exit(model_keys.trust(key, settings_of(settings, data=data), by=by, clock=now))


@models_app.command("distrust")
def models_distrust(
    key: Annotated[str, typer.Argument(metavar="ID", help="id of the key, as `models trust` printed it")],
    by: By = "cli",
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """Let signatures of a key count no more; models that only it signed stop serving.

    Example: dicom-ai models distrust 3f9c2a17b4d0e5a6 --by "A. Person"
    """
    from dicom_ai.commands import model_keys

    raise typer.Exit(model_keys.distrust(key, settings_of(settings, data=data), by=by, clock=now))
