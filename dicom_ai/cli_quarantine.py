"""The commands `quarantine`: what waits for a person to look at its pixels, and what a person decides; no logic."""

from pathlib import Path
from typing import Annotated

import typer

from dicom_ai.cli_options import AsJson, DataFolder, SettingsFile, now, settings_of

quarantine_app = typer.Typer(help="Objects the crop would not let through, for a person to look at.")

By = Annotated[str, typer.Option("--by", help="your name; kept with the decision", show_default=False)]
ObjectId = Annotated[str, typer.Argument(metavar="ID", help="id from `quarantine list`, or its first digits")]


@quarantine_app.command("list")
def quarantine_list(
    reason: Annotated[str | None, typer.Option(help="only this reason, as `dicom-ai reasons` prints it")] = None,
    device: Annotated[str | None, typer.Option(help="only devices whose maker and model contain this")] = None,
    json_rows: AsJson = False,
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """List what waits: reason, device, frame size and since when, the longest waiting first.

    Example: dicom-ai quarantine list --reason no_regions --device logiq
    """
    from dicom_ai.commands import quarantine

    asked = settings_of(settings, data=data)
    raise typer.Exit(quarantine.list_quarantine(reason, device, asked, as_json=json_rows))


@quarantine_app.command("show")
def quarantine_show(
    which: ObjectId,
    png: Annotated[Path | None, typer.Option("--png", help="file for the screen with every vote drawn on it")] = None,
    whole: Annotated[
        bool, typer.Option("--whole-screen", help="no mosaic: the picture shows who the patient is")
    ] = False,
    json_rows: AsJson = False,
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """Say what each witness said of an object and which threshold was missed; draw it where asked.

    Example: dicom-ai quarantine show 4f0c29 --png look.png
    """
    from dicom_ai.commands import quarantine

    wish = quarantine.Wish(which, png, whole)
    raise typer.Exit(quarantine.show(wish, settings_of(settings, data=data), as_json=json_rows))


@quarantine_app.command("approve")
def quarantine_approve(
    which: Annotated[str, typer.Argument(metavar="ID", help="object, or a layout (L3) that waits for a second person")],
    by: By,
    keep: Annotated[list[str] | None, typer.Option(help="polygon 'x,y x,y x,y' in pixels; may be repeated")] = None,
    keep_support: Annotated[bool, typer.Option("--keep-support", help="the picture found in its pixels")] = False,
    keep_region: Annotated[bool, typer.Option("--keep-region", help="the region it states, where believed")] = False,
    any_software: Annotated[bool, typer.Option("--any-software", help="not only for its software version")] = False,
    note: Annotated[str, typer.Option(help="why; write no patient's name here")] = "",
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """Say where the picture of a device is; objects that waited for it go through the crop again.

    The entry is for the object's maker, model, software version and frame size. With crop.approvals = 2 another
    person must agree before it counts.

    Example: dicom-ai quarantine approve 4f0c29 --keep "20,80 900,80 900,740 20,740" --by "A. Person"
    """
    from dicom_ai.commands import layouts
    from dicom_ai.errors import SettingsError

    sources = [name for name, is_it in (("support", keep_support), ("region", keep_region)) if is_it]
    if len(sources) > 1:
        raise SettingsError("choose one of --keep-support and --keep-region")
    source = sources[0] if sources else None
    choice = layouts.Choice(which, tuple(keep or ()), source, any_software, by, note)
    raise typer.Exit(layouts.approve(choice, settings_of(settings, data=data), now))


@quarantine_app.command("layouts")
def quarantine_layouts(
    everything: Annotated[bool, typer.Option("--all", help="withdrawn and published ones as well")] = False,
    json_rows: AsJson = False,
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """List the layouts that people approved or proposed: device, frame size, who and from which object.

    Example: dicom-ai quarantine layouts --all
    """
    from dicom_ai.commands import layouts

    raise typer.Exit(layouts.list_layouts(settings_of(settings, data=data), everything=everything, as_json=json_rows))


@quarantine_app.command("withdraw")
def quarantine_withdraw(
    layout: Annotated[str, typer.Argument(metavar="LAYOUT", help="name from `quarantine layouts`, such as L3")],
    by: By,
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """Let a layout count no more; studies that were cropped by it are named and stand as they are.

    Example: dicom-ai quarantine withdraw L3 --by "A. Person"
    """
    from dicom_ai.commands import layouts

    raise typer.Exit(layouts.withdraw(layout, settings_of(settings, data=data), by=by, clock=now))


@quarantine_app.command("discard")
def quarantine_discard(
    which: ObjectId,
    by: By,
    why: Annotated[str, typer.Option(help="why; write no patient's name here")],
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """Let an object wait no more: it stays stored and forwarded, and is never analysed.

    Example: dicom-ai quarantine discard 4f0c29 --by "A. Person" --why "probe in the air"
    """
    from dicom_ai.commands import quarantine

    raise typer.Exit(quarantine.discard(which, settings_of(settings, data=data), by=by, why=why, clock=now))
