"""What every test may use. Figures measured by `make verify` are written to deploy/benchmarks.md."""

import os
import platform
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from tests import databases, postgres
from tests.databases import database_url, ledgers, postgresql_url  # noqa: F401 - fixtures

# The gate tries the same examples every time, so that it says something about the change and not about luck;
# `make verify` searches with new ones and prints what reproduces a failure.
settings.register_profile("gate", derandomize=True, deadline=None)
settings.register_profile("search", max_examples=1000, deadline=None, print_blob=True)
settings.load_profile("gate")

BENCHMARKS = Path(__file__).parents[1] / "deploy" / "benchmarks.md"
_FIGURES = pytest.StashKey[dict[str, tuple[str, str, str]]]()

_HEAD = """# Figures

Written by `make verify`; every row was measured by the test it names, on the machine described. A ratio is interleaved
in one run and given as median with interval; a count stands with its number of trials. Rows of tests that were not run
again keep their figure.

"""
_COLUMNS = "| what | figure | bar | test |\n|---|---|---|---|\n"
_ROW = re.compile(r"^\| (?P<what>.*?) \| (?P<figure>.*?) \| (?P<bar>.*?) \| `(?P<test>.*?)` \|$", re.MULTILINE)


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str, str, str], None]:
    """Note a measured figure: figure(what, value with unit and count, bar)."""
    rows = request.config.stash.setdefault(_FIGURES, {})

    def note(what: str, value: str, bar: str = "") -> None:
        rows[what] = (value, bar, request.node.nodeid.split("[", maxsplit=1)[0])

    return note


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--ledger postgresql` runs every test whose ledger comes from `tests.ledger` over PostgreSQL."""
    parser.addoption("--ledger", choices=["sqlite", "postgresql"], default="sqlite")


def pytest_configure(config: pytest.Config) -> None:
    """Name the mark of `tests.databases`; tables are as wide as for a pipe, whoever runs the tests."""
    os.environ.pop("COLUMNS", None)
    config.addinivalue_line("markers", "databases: over SQLite and PostgreSQL; 'verify': the latter in `make verify`")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests of the ledger run over both databases."""
    databases.parametrize(metafunc)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Merge the figures of a verify run into the file; a default run writes nothing."""
    postgres.remove_shared()
    rows = session.config.stash.get(_FIGURES, {})
    asked = re.sub(r"not \w+", "", session.config.option.markexpr)
    if not rows or not re.search(r"verify|benchmark", asked):
        return
    text = BENCHMARKS.read_text(encoding="utf-8") if BENCHMARKS.exists() else ""
    merged = {found["what"]: (found["figure"], found["bar"], found["test"]) for found in _ROW.finditer(text)} | rows
    lines = [f"| {what} | {value} | {bar} | `{test}` |\n" for what, (value, bar, test) in sorted(merged.items())]
    BENCHMARKS.write_text(f"{_HEAD}Machine: {machine()}\n\n{_COLUMNS}{''.join(lines)}", encoding="utf-8")


def machine() -> str:
    """The machine in words: processor, cores, memory, system, Python."""
    cpu = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    cores = Path("/proc/cpuinfo").read_text(encoding="utf-8").count("processor\t:")
    kib = int(re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text(encoding="utf-8"))[1])
    name = cpu[1].strip() if cpu else platform.machine()
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"{name}, {cores} cores, {kib / 2**20:.0f} GiB, no GPU, {system}"
