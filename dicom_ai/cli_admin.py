"""The administrator's commands: is everything well, what came, what waits, what must be decided; no logic.

Each command reads its options, hands them to a module named after it and ends with that module's exit code:
0 nothing failed, 1 something failed, 2 usage or settings.
"""

from pathlib import Path
from typing import Annotated

import typer

from dicom_ai.cli_options import AsJson, DataFolder, Paths, SettingsFile, settings_of

rules_app = typer.Typer(help="Which exam is which task: the table in force, and why an object took its row.")
conflicts_app = typer.Typer(help="Objects that contradict each other, for a person to decide.")
studies_app = typer.Typer(help="What was received and what became of it.")
deliveries_app = typer.Typer(help="What goes to which destination, what is held and what was given up.")


def add_to(app: typer.Typer) -> None:
    """Hook the administrator's commands and groups into `app`."""
    for name, group in (
        ("studies", studies_app),
        ("deliveries", deliveries_app),
        ("conflicts", conflicts_app),
        ("rules", rules_app),
    ):
        app.add_typer(group, name=name, no_args_is_help=True)


@rules_app.command("list")
def rules_list(json_rows: AsJson = False, settings: SettingsFile = None, data: DataFolder = None) -> None:
    """Print the routing table in force, with its version, who put it there and when.

    Example: dicom-ai rules list
    """
    from dicom_ai import rules

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
    from dicom_ai import rules

    question = rules.Question(tuple(paths), calling, called, site)
    raise typer.Exit(rules.test(question, settings_of(settings, data=data), as_json=json_rows))
