"""The whole way with the ledger on PostgreSQL: a scanner sends, the PACS receives originals, report and captures."""

from pathlib import Path

import pytest
from sqlalchemy import make_url

from tests.e2e import promises
from tests.e2e.pacs import Simulated
from tests.e2e.scanner import LUNG, PatientScanner, studies
from tests.e2e.service import Service, service

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


def test_a_study_is_received_analysed_and_delivered(tmp_path: Path, postgresql_url: str) -> None:
    with (
        Simulated(tmp_path / "pacs") as pacs,
        service(tmp_path / "service", pacs.target(), database_url=postgresql_url) as one,
    ):
        scanner = PatientScanner(studies(1, content=LUNG), one.port, limit_s=60)
        scanner.start()
        scanner.wait()
        one.wait_until(one.is_at_rest, 60, "every set to be answered and every delivery to be over")
        promises.check(one, scanner.acknowledged, pacs.received())
        pacs.check_repeats()
        assert not list(one.data.glob("ledger.sqlite*"))


def test_a_second_data_folder_on_the_same_database_is_refused(tmp_path: Path, postgresql_url: str) -> None:
    first = Service(tmp_path / "first", database_url=postgresql_url)
    first.apply()
    second = Service(tmp_path / "second", database_url=postgresql_url)
    for arguments in (["serve", "--data", second.data], ["apply", first.folder / "site.toml", "--data", second.data]):
        done = second.command(*arguments)
        assert done.returncode == 2
        assert "the ledger belongs to the data folder with store id" in done.stderr
        assert "store.database_url" in done.stderr
        assert make_url(postgresql_url).password not in done.stderr + done.stdout
