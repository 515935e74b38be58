"""Options that several commands share, and what turns them into settings. What this is not: commands."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from dicom_ai.settings import Settings

SettingsFile = Annotated[
    Path | None, typer.Option("--settings", "-c", help="settings file (TOML); default: ./dicom_ai.toml if it is there")
]
DataFolder = Annotated[Path | None, typer.Option("--data", help="data folder; default: store.data of the settings")]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON object per line on standard output")]
Paths = Annotated[list[Path], typer.Argument(help="DICOM files or folders")]
To = Annotated[str, typer.Option("--to", help="the node called, as AE@HOST:PORT", metavar="AE@HOST:PORT")]

DAY = {
    "Set up": ("apply", "models", "doctor", "serve"),
    "Every day": ("alarms", "studies", "deliveries", "conflicts", "quarantine", "verdict", "verdicts", "recall"),
    "Look closer": ("rules", "reasons", "crop", "analyse", "show", "validate"),
    "Network": ("echo", "send", "archive", "simulate"),
    "See it work": ("demo", "bench"),
}
"""Commands in the order an administrator meets them, under the heading they have in the help."""


class InOrder(TyperGroup):
    """Shows its commands as `DAY` has them; what is not in there comes first, under "Commands"."""

    def __init__(self, **kwargs: Any) -> None:
        """Give every command its heading."""
        super().__init__(**kwargs)
        for heading, names in DAY.items():
            for name in names:
                if name in self.commands:
                    self.commands[name].rich_help_panel = heading  # type: ignore[attr-defined]

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of the day."""
        order = [name for names in DAY.values() for name in names]
        return sorted(super().list_commands(ctx), key=lambda name: order.index(name) if name in order else -1)


def settings_of(path: Path | None, *, data: Path | None = None, port: int | None = None) -> "Settings":
    """The settings of a command: file and environment, and over them what stood on the command line.

    Raises:
        SettingsError: all problems at once; `main` shows them and ends with 2.
    """
    from dicom_ai.settings import read_settings

    overrides: dict[str, dict[str, Any]] = {}
    if data is not None:
        overrides["store"] = {"data": data}
    if port is not None:
        overrides["receive"] = {"port": port}
    return read_settings(path, **overrides)


def logged(settings: "Settings") -> "Settings":
    """Set up the log of a command that works through objects; the others say what matters in one sentence."""
    from dicom_ai import log

    log.configure(settings.log.level, settings.log.format)
    return settings


def now() -> datetime:
    """The clock of a command; everything below the command line takes it as an argument."""
    return datetime.now(UTC)  # noqa: TID251
