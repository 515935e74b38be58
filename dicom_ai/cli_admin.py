"""The administrator's commands: is everything well, what came, what waits, what must be decided; no logic.

Each command reads its options, hands them to a module named after it and ends with that module's exit code:
0 nothing failed, 1 something failed, 2 usage or settings.
"""

import typer

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
