"""The help teaches: every command has an example that the command line takes, and stands in the order of the day."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from typer.core import TyperGroup

from dicom_ai.cli import app
from dicom_ai.cli_options import DAY

GROUP = typer.main.get_command(app)
assert isinstance(GROUP, TyperGroup)


def commands(group: TyperGroup, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


EVERY = list(commands(GROUP))


@pytest.mark.parametrize(("path", "command"), EVERY, ids=[" ".join(path) for path, _ in EVERY])
def test_a_command_shows_an_example_of_itself_that_is_understood(path: tuple[str, ...], command: Any) -> None:
    example = re.search(r"^ *Example: dicom-ai (.*)$", command.help or "", re.MULTILINE)
    assert example is not None, "an example in the docstring"
    words = shlex.split(example[1])
    assert tuple(words[: len(path)]) == path
    command.make_context(path[-1], words[len(path) :])  # raises what the command line would say


def test_every_command_has_its_place_in_the_day() -> None:
    assert GROUP.list_commands(GROUP.make_context("dicom-ai", ["reasons"])) == [
        name for names in DAY.values() for name in names
    ]
