"""The site's tables: the shipped file is valid, every mistake is named, versions are kept, readers read rarely."""

from pathlib import Path

import pytest

from dicom_ai.errors import LedgerUnavailable, SettingsError
from dicom_ai.site import Destination, Route, SiteTables, read_site
from dicom_ai.store import tables
from dicom_ai.store.database import read, write
from dicom_ai.store.site_rows import SiteReader, apply, newest
from tests.ledger import START, place

ROOT = Path(__file__).parents[2]
PACS = Destination(name="pacs", ae_title="PACS", host="127.0.0.1", port=104)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "site.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_shipped_site_file_is_valid() -> None:
    assert read_site(ROOT / "deploy" / "site.toml").routes


def test_by_default_nothing_is_forwarded_and_no_toy_gets_in() -> None:
    assert (PACS.forward, PACS.results, PACS.test) == ("none", True, False)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[[destinations]]\nname = 'a'", "ae_title"),
        ("[[destinations]]\nname='a'\nae_title='A'\nhost='h'\nport=0", "port"),
        ("[[destinations]]\nname='a'\nae_title='LONGER THAN SIXTEEN'\nhost='h'\nport=1", "ae_title"),
        ("[[routes]]\ntask = 'heart'", "task"),
        ("[[routes]]\ntask = 'lung-signs'\nsexx = 'F'", "sexx"),
        ("surprise = 1", "surprise"),
        ("not toml", "site.toml"),
        (2 * "[[destinations]]\nname='a'\nae_title='A'\nhost='h'\nport=1\n", "share a name"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        read_site(written(tmp_path, text))


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        read_site(written(tmp_path, "surprise = 1\n[[routes]]\ntask = 'heart'\n[[peers]]\nae_title = ''"))
    assert all(name in str(caught.value) for name in ("surprise", "routes.0.task", "peers.0.ae_title"))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"site\.toml"):
        read_site(tmp_path / "site.toml")


def test_a_destination_is_found_by_its_name() -> None:
    assert SiteTables(destinations=(PACS,)).destination("pacs") == PACS
    assert SiteTables(destinations=(PACS,)).destination("PACS") is None


def test_the_newest_version_is_in_force_and_the_old_ones_are_kept(tmp_path: Path) -> None:
    here = place(tmp_path)
    one, other = SiteTables(destinations=(PACS,)), SiteTables(routes=(Route(task="lung-signs"),))
    with write(here.engine) as connection:
        assert newest(connection) == SiteTables()
        assert [apply(connection, each, by="x", now=START) for each in (one, one, other, one)] == [1, 1, 2, 3]
    with read(here.engine) as connection:
        assert newest(connection) == one
    assert [row.by for row in here.rows(tables.sites)] == ["x"] * 3


def test_a_reader_sees_a_change_after_its_time_and_reads_no_more_often(tmp_path: Path) -> None:
    here, now = place(tmp_path), [100.0]
    reader = SiteReader(here.engine, ttl_s=2.0, monotonic=lambda: now[0])
    assert reader() == SiteTables()
    changed = SiteTables(destinations=(PACS,))
    with write(here.engine) as connection:
        apply(connection, changed, by="x", now=START)
    now[0] += 1.9
    assert reader() == SiteTables()
    now[0] += 0.2
    assert reader() == changed


def test_a_reader_without_a_ledger_serves_nothing_old(tmp_path: Path) -> None:
    here, now = place(tmp_path), [100.0]
    reader = SiteReader(here.engine, ttl_s=2.0, monotonic=lambda: now[0])
    reader()
    now[0] += 3
    with write(here.engine) as connection:
        tables.sites.drop(connection)
    with pytest.raises(LedgerUnavailable):
        reader()
