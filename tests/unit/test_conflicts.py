"""The commands `conflicts`: what they print, what they decide over the real ledger and engine, and how they fail."""

import json
from datetime import datetime
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from typer.testing import CliRunner

from dicom_ai import engine
from dicom_ai.cli import app
from dicom_ai.commands.conflicts import Decision, list_conflicts, operating_user, resolve
from dicom_ai.errors import SettingsError, UnreadableInstance
from dicom_ai.instance import Identity, Instance
from dicom_ai.ports import Receipt, Spooled
from dicom_ai.report.header import part10
from dicom_ai.settings import Settings, Store
from dicom_ai.site import Route, SiteTables
from dicom_ai.store import tables
from dicom_ai.store.database import read, write
from dicom_ai.store.files import part10_digest
from dicom_ai.store.outbox import pick_up
from dicom_ai.store.site_rows import apply
from tests.ledger import START, Place, place, site
from tests.workplace import lung


def still(**changes: str) -> Dataset:
    ds, _ = lung()
    ds.PatientID, ds.PatientName = "CANARY7", "Zebrafink^Anna"
    for keyword, value in changes.items():
        setattr(ds, keyword, value)
    return ds


def receive(here: Place, ds: Dataset) -> str:
    content = part10(ds)
    path = here.files.new_spool()
    path.write_bytes(content)
    instance = Instance.of(ds, ds.file_meta.TransferSyntaxUID)
    facts = {"calling_ae": "SCANNER", "called_ae": "DICOM_AI", "association": ""}
    digest = part10_digest(content)
    spooled = Spooled(path, digest, len(content), instance=instance, identity=Identity.of(ds), **facts)
    assert here.keeper.keep([spooled]) == [Receipt(0)]
    return digest


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, Settings, list[str]]:
    """Two contents under one UID, of two patients; routes by description, one PACS that takes originals."""
    here = place(tmp_path_factory.mktemp("data"))
    settings = Settings(store=Store(data=here.data))
    engine.prepare(settings.database_url)
    routes = (Route(task="lung-signs", description_contains="lung"),)
    with write(here.engine) as connection:
        in_force = SiteTables(routes=routes, destinations=site("pacs").destinations)
        apply(connection, in_force, by="test", now=START)
    digests = [receive(here, still()), receive(here, still(PatientID="OTHER8"))]
    with write(here.engine) as connection:
        (opened,) = connection.execute(tables.outbox.select()).all()
        pick_up(connection, opened.study, "pacs", generation=1, now=START, enqueue=here.jobs)  # its job has begun
    return here, settings, digests


def clock() -> datetime:
    return START


def rows(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def listed(settings: Settings, capsys: pytest.CaptureFixture[str], **options: bool) -> str:
    asked = {"everything": False, "with_identity": False, "as_json": False, **options}
    assert list_conflicts(settings, **asked) == 0
    return capsys.readouterr().out


class TestCommands:
    """In this order: the last one decides."""

    def test_the_list_says_what_differs_and_not_who(self, given, capsys):
        _, settings, (kept, new) = given
        (row,) = rows(listed(settings, capsys, as_json=True))
        assert (row["kind"], row["differs"], row["peer"]) == ("object", ["PatientID"], "SCANNER")
        assert [side["digest"] for side in row["choices"]] == [kept, new]
        table = listed(settings, capsys)
        assert "PatientID" in table
        assert "conflicts resolve" in table
        assert not [name for name in ("CANARY7", "OTHER8", "Zebra") if name in table + json.dumps(row)]

    def test_who_it_is_only_when_asked(self, given, capsys):
        _, settings, _ = given
        said = listed(settings, capsys, as_json=True, with_identity=True)
        assert "CANARY7" in said
        assert "OTHER8" in said
        assert "Zebra" in listed(settings, capsys, with_identity=True).replace("\n", "")

    @pytest.mark.parametrize(("conflict", "choice", "says"), [(99, "new", "conflicts list"), (1, "old", "kept or new")])
    def test_a_choice_there_is_not_is_a_matter_of_usage(self, given, capsys, conflict, choice, says):
        _, settings, _ = given
        assert resolve(settings, Decision(conflict, choice, "me"), clock) == 2
        assert says in capsys.readouterr().err

    def test_an_object_that_cannot_be_read_is_not_chosen(self, given):
        here, settings, (_, new) = given
        path = here.files.path(new)
        content = path.read_bytes()
        path.write_bytes(b"damaged")
        try:
            with pytest.raises(UnreadableInstance):
                resolve(settings, Decision(1, "new", "me"), clock)
        finally:
            path.write_bytes(content)
        assert [row.state for row in here.rows(tables.conflicts)] == ["open"]

    def test_a_decision_routes_by_the_text_of_the_object_and_enqueues_for_the_engine(self, given, capsys):
        here, settings, (kept, new) = given
        assert resolve(settings, Decision(1, "new", "me"), clock) == 0
        assert "resolved" in capsys.readouterr().out
        states = {row.digest: (row.state, row.reason) for row in here.rows(tables.objects)}
        assert states == {kept: ("replaced", "replaced"), new: ("stored", None)}, "the description said which task"
        client = engine.client(settings.database_url)
        assert engine.jobs(client, "deliver"), "a job to forward it"
        client.destroy()

    def test_twice_is_said(self, given, capsys):
        _, settings, _ = given
        assert resolve(settings, Decision(1, "kept", "me"), clock) == 1
        assert "by me" in capsys.readouterr().err
        assert "No open conflicts" in listed(settings, capsys)
        (row,) = rows(listed(settings, capsys, everything=True, as_json=True))
        assert (row["state"], row["choice"], row["by"]) == ("resolved", "new", "me")
        assert "new by me" in listed(settings, capsys, everything=True).replace("\n", " ")


def test_without_a_ledger_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="dicom-ai serve"):
        list_conflicts(Settings(store=Store(data=tmp_path)), everything=False, with_identity=False, as_json=False)


def test_the_command_line_gives_the_user_of_the_system_and_the_exit_code(given) -> None:
    here, _, _ = given
    done = CliRunner().invoke(app, ["conflicts", "resolve", "99", "--choose", "new", "--data", str(here.data)])
    assert done.exit_code == 2
    assert 0 < len(operating_user()) <= 64
    with read(here.engine) as connection:
        assert connection.scalar(tables.conflicts.select().where(tables.conflicts.c.id == 99)) is None
