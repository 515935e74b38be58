"""The command `keys make`."""

from pathlib import Path
from typing import Annotated

import typer

from models.signature import KeyFault

keys_app = typer.Typer(help="Keys of people who vouch for models.", no_args_is_help=True)


@keys_app.callback()
def _keys() -> None:
    pass  # keeps `make` a subcommand


@keys_app.command("make")
def keys_make(
    out: Annotated[Path, typer.Option(help="folder for NAME.key and NAME.pub")],
    name: Annotated[str, typer.Option(help="of the files; the signature names a person, this need not")],
    passphrase: Annotated[bool, typer.Option("--passphrase", help="ask for one and encrypt the private key")] = False,
    passphrase_file: Annotated[Path | None, typer.Option(help="file whose first line is the passphrase")] = None,
) -> None:
    """Make a key pair: the private one stays with its owner, the public one is trusted by a service.

    Example: python -m train keys make --out keys --name ana
    """
    from train.keys import make_keys

    secret = passphrase_of(passphrase_file)
    if passphrase and secret is None:
        secret = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=True).encode()
    try:
        pair = make_keys(out, name, secret)
    except KeyFault as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(2) from exc
    typer.echo(f"private key {pair.private}: keep it, give it to nobody")
    typer.echo(f"public key {pair.public}, id {pair.key}: a service trusts it by `dicom-ai models trust {pair.public}`")


def passphrase_of(file: Path | None) -> bytes | None:
    """The first line of a file; None without a file."""
    if file is None:
        return None
    try:
        return file.read_bytes().splitlines()[0]
    except (OSError, IndexError) as exc:
        typer.echo(f"{file} holds no passphrase", err=True)
        raise typer.Exit(2) from exc
