"""Commands that measure this installation on simulated objects; no logic."""

from pathlib import Path
from typing import Annotated

import typer

from dicom_ai.cli_options import AsJson

bench_app = typer.Typer(help="Measure on simulated objects what this installation is worth.", no_args_is_help=True)

QUICK, USUAL = 120, 3900


@bench_app.callback()
def _group() -> None:
    """Keep `crop` a command of its own although it is the only one."""


@bench_app.command("crop")
def crop(
    objects: Annotated[int | None, typer.Option(min=1, help=f"painted objects; default {USUAL}, or {QUICK}")] = None,
    seed: Annotated[int, typer.Option(min=0, help="seed of screens, pictures and texts")] = 1,
    layouts: Annotated[str, typer.Option(help="known, drawn (nobody has seen them) or all")] = "all",
    only: Annotated[
        int | None, typer.Option(min=0, help="one subject's number (the middle of an object's name)")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="few objects: a minute or less")] = False,
    png: Annotated[Path | None, typer.Option("--png", help="folder for contact sheets of what went wrong")] = None,
    exports: Annotated[int, typer.Option(min=0, help="accepted objects to export as well, about so many")] = 0,
    real: Annotated[Path | None, typer.Option(help="folder of real objects; needs --drawings")] = None,
    drawings: Annotated[Path | None, typer.Option(help="folder of the hand drawings of those objects")] = None,
    json_rows: AsJson = False,
) -> None:
    """Measure the crop: leaks of painted identity, fit to the true scan area, accept rates, time, other ways beside it.

    Example: dicom-ai bench crop --quick --png looks
    """
    from dicom_ai.commands.bench import crop as measurement
    from dicom_ai.commands.bench.run import Plan, which_of

    plan = Plan(objects or (QUICK if quick else USUAL), seed, which_of(layouts), only, exports)
    wanted = measurement.Wanted(plan, 5 if quick else 15, real, drawings, png)
    raise typer.Exit(measurement.bench(wanted, as_json=json_rows))
