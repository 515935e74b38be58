"""The command `promote`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, NoReturn, cast

import typer

from models.signature import KeyFault, needs_passphrase
from train.commands.keys import passphrase_of

Grade = Literal["demonstration", "research", "clinical"]


def command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="folder of the trained model")],
    to: Annotated[Path, typer.Option(help="data folder of a service, or the folder to write")],
    key: Annotated[Path, typer.Option(help="private key of the person who vouches")],
    who: Annotated[str, typer.Option(help="the person who vouches")],
    evidence: Annotated[Path, typer.Option(help="report.json of its evaluation on the locked test set")],
    grade: Annotated[str, typer.Option(help="demonstration, research or clinical")] = "research",
    parent: Annotated[
        str | None, typer.Option(help="card digest of the model it follows; none: the first of its line")
    ] = None,
    margin: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="how much lower AUC and F1 may be than the parent's")
    ] = 0.02,
    passphrase_file: Annotated[Path | None, typer.Option(help="file whose first line is the key's passphrase")] = None,
) -> None:
    """Sign a trained model, unless it is worse than its parent on the locked test set; then it can be activated.

    Example: python -m train promote runs/lung --to data --key keys/ana.key --who "Ana" --evidence runs/report.json
    """
    from dicom_ai.errors import DicomAIError
    from train.keys import load_private
    from train.promote import Promotion, promote

    if grade not in ("demonstration", "research", "clinical"):
        _end(f"--grade knows demonstration, research and clinical, not {grade!r}", 2)
    try:
        private = load_private(key, _passphrase(key, passphrase_file))
    except KeyFault as exc:
        _end(str(exc), 2)
    wanted = Promotion(run, to, who, cast("Grade", grade), evidence, parent, margin)
    try:
        made = promote(wanted, private, datetime.now(UTC))  # noqa: TID251 - the clock of a command
    except DicomAIError as exc:
        _end(str(exc), 1)
    typer.echo(f"{made.folder}: {made.card.name} {made.card.version}, grade {made.card.grade}")
    typer.echo(f"card {made.card.digest}, signed by {who} with key {made.key}")
    typer.echo(
        f"next: dicom-ai models trust {key.with_suffix('.pub')}; dicom-ai models activate {made.card.digest[:12]}"
    )


def _passphrase(key: Path, file: Path | None) -> bytes | None:
    given = passphrase_of(file)
    if given is None and key.is_file() and needs_passphrase(key.read_bytes()):
        given = str(typer.prompt("Passphrase of the key", hide_input=True)).encode()
    return given


def _end(sentence: str, code: int) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(code)
