"""Make a model: `python -m train fit RECIPE --out DIR`."""

import train.no_network  # noqa: F401 - before libraries that look for a network when imported

# isort: split

import typer

from train.commands import collect, evaluate, fit, floor, keys, promote, pull, split, table

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Make a model. A recipe says what it learns from; the result is a model folder the service can use.",
)
app.command("pull")(pull.command)
app.command("collect")(collect.command)
app.command("split")(split.command)
app.command("floor")(floor.command)
app.command("fit")(fit.command)
app.command("table")(table.command)
app.command("evaluate")(evaluate.command)
app.command("promote")(promote.command)
app.add_typer(keys.keys_app, name="keys")


if __name__ == "__main__":
    app()
