"""Which database a test of the ledger runs over: SQLite, PostgreSQL, or one after the other.

* A test of the ledger takes `database_url` and runs twice, over SQLite and over PostgreSQL:

      def test_it(database_url):
          engine = open_engine(database_url)      # the ledger's and the engine's tables are there already

* `tests.ledger.place(data)` follows the mark `databases`: `pytestmark = pytest.mark.databases` (or a decorator) runs a
  test over both; `pytest.mark.databases("verify")` leaves the PostgreSQL half to `make verify`, `("sqlite")` leaves it
  out. Without the mark it is SQLite, unless the session says `--ledger postgresql`. The same folder has the same
  database within a test.

* A test that needs PostgreSQL alone, end to end for example, takes `postgresql_url`:

      Service(tmp_path, database_url=postgresql_url)

A fresh database costs about 0.05 s, the server 1.5 s once per session. What this is not: the server (`tests.postgres`).
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from dicom_ai.store.database import open_engine
from tests.postgres import make_tables, shared


class Ledgers:
    """The databases of one test: one per data folder, of the kind the test runs over."""

    def __init__(self, kind: str) -> None:
        """Take the kind, "sqlite" or "postgresql"."""
        self.kind = kind
        self._urls: dict[Path, str] = {}
        self._foreign: set[str] = set()
        self._engines: list[Engine] = []

    def url(self, data: Path) -> str:
        """URL of the ledger that belongs to a data folder; on PostgreSQL its tables are there already."""
        if data not in self._urls:
            is_sqlite = self.kind == "sqlite"
            self._urls[data] = f"sqlite:///{data / 'ledger.sqlite'}" if is_sqlite else shared().new_database()
        return self._urls[data]

    def share(self, data: Path, other: Path) -> None:
        """Give a data folder the ledger of another one, as two receivers of one service have."""
        self._urls[data] = self.url(other)

    def adopt(self, data: Path, url: str) -> None:
        """Give a data folder a ledger that is there already; whoever made it drops it."""
        self._urls[data] = url
        self._foreign.add(url)

    def open(self, data: Path) -> Engine:
        """The ledger of a data folder, opened; closed at the end of the test."""
        self._engines.append(open_engine(self.url(data)))
        return self._engines[-1]

    def close(self) -> None:
        """Close and drop what was made."""
        for engine in self._engines:
            engine.dispose()
        self._engines.clear()
        for url in set(self._urls.values()) - self._foreign:
            if not url.startswith("sqlite"):
                shared().drop(url)
        self._urls.clear()


current = Ledgers("sqlite")
"""The databases of the test that runs; set by the fixture `ledgers`."""


def url_of(data: Path) -> str:
    """URL of the ledger of a data folder, of the kind the running test is for."""
    return current.url(data)


def opened(data: Path) -> Engine:
    """The ledger of a data folder, opened, of the kind the running test is for; closed at the end of the test."""
    return current.open(data)


@pytest.fixture(autouse=True)
def ledgers(request: pytest.FixtureRequest) -> Iterator[Ledgers]:
    """The databases of this test; the mark `databases` runs it over both kinds."""
    global current  # noqa: PLW0603 - helpers without a fixture ask for it
    mark = request.node.get_closest_marker("databases")
    wanted = "sqlite" if mark and "sqlite" in mark.args else request.config.getoption("ledger")
    before, kind = current, getattr(request, "param", wanted)
    current = Ledgers(kind)
    try:
        yield current
    finally:
        current.close()
        current = before


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh ledger with all tables, on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
        make_tables(url)
        yield url
        return
    url = shared().new_database()
    yield url
    shared().drop(url)


@pytest.fixture
def postgresql_url() -> Iterator[str]:
    """A fresh ledger with all tables on PostgreSQL."""
    url = shared().new_database()
    yield url
    shared().drop(url)


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Run a test that bears the mark `databases` over both kinds."""
    mark = metafunc.definition.get_closest_marker("databases")
    if mark is None or "sqlite" in mark.args or metafunc.config.getoption("ledger") != "sqlite":
        return
    also = pytest.param("postgresql", marks=[pytest.mark.verify] if "verify" in mark.args else [])
    metafunc.parametrize("ledgers", ["sqlite", also], indirect=True)
