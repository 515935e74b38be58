"""Every distribution the service needs may be given on under its licence: no GPL or AGPL comes in with a wheel."""

import re
import tomllib
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PYPROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PYPROJECT["project"]["optional-dependencies"]
GPL = re.compile(r"\bA?GPL|(?<!Lesser )(?<!Library )General Public License", re.IGNORECASE)
REFUSED = {"pylibjpeg-libjpeg", "av", "minio", "redis", "dramatiq"}  # GPL inside, or terms that are not open


def closure(requirements: list[str]) -> dict[str, Distribution]:
    """Installed distributions reached from the requirements; what the machine does not install is left out."""
    found: dict[str, Distribution] = {}
    todo = [(Requirement(text), "") for text in requirements]
    while todo:
        requirement, extra = todo.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        try:
            dist = distribution(name)
        except PackageNotFoundError:
            continue
        is_new = name not in found
        found[name] = dist
        if is_new or requirement.extras:
            wanted = ("", *requirement.extras) if is_new else tuple(requirement.extras)
            todo += [(Requirement(text), extra) for text in dist.requires or [] for extra in wanted]
    return found


def stated(dist: Distribution) -> list[str]:
    """What the metadata says of the licence: expression, classifiers, or the first line of the old free field."""
    field = (dist.metadata.get("License") or "").strip().splitlines()
    return [
        text
        for text in (
            dist.metadata.get("License-Expression") or "",
            *(c for c in dist.metadata.get_all("Classifier") or [] if c.startswith("License ::")),
            field[0] if field else "",
        )
        if text
    ]


def is_gpl(text: str) -> bool:
    """GPL or AGPL, but not LGPL; a choice that offers something else (`A OR B`) is not."""
    return all(GPL.search(choice) for choice in re.split(r"\bOR\b", text))


DISTRIBUTIONS = closure([*PYPROJECT["project"]["dependencies"], *EXTRAS["train"], *EXTRAS["dev"]])


def test_the_closure_is_walked():
    assert {"torch", "pydicom", "highdicom", "dbos", "psycopg", "lightning", "pytest"} <= set(DISTRIBUTIONS)


@pytest.mark.parametrize("name", sorted(DISTRIBUTIONS))
def test_no_gpl(name):
    assert [text for text in stated(DISTRIBUTIONS[name]) if is_gpl(text)] == []


def test_nothing_refused_came_in():
    assert REFUSED & set(DISTRIBUTIONS) == set()


@pytest.mark.parametrize(
    "text",
    [
        "GPL-3.0-only",
        "GPL-2.0-or-later",
        "AGPL-3.0",
        "GPLv3",
        "License :: OSI Approved :: GNU General Public License v3 (GPLv3)",
        "GNU General Public License",
        "License :: OSI Approved :: GNU Affero General Public License v3",
        "MIT AND GPL-3.0-only",
    ],
)
def test_gpl_is_seen(text):
    assert is_gpl(text)


@pytest.mark.parametrize(
    "text",
    [
        "LGPL-3.0-only",
        "License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)",
        "MPL-2.0 AND MIT",
        "MIT OR GPL-2.0",
        "Apache-2.0 WITH LLVM-exception",
    ],
)
def test_what_may_be_used_is_not_called_gpl(text):
    assert not is_gpl(text)
