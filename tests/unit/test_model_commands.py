"""The commands about models: from a key to a model that answers, what they print, and what they leave in the ledger."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from dicom_ai.classify.catalogue import DEMO
from dicom_ai.cli import app
from dicom_ai.errors import CardMismatch, ModelError, SettingsError, UntrustedModel
from dicom_ai.store.database import open_engine, read
from dicom_ai.store.tables import events, models
from models.card import read_card
from tests.signed import evidence, promoted
from tests.workplace import tiny
from train.__main__ import app as train_app

torch.set_num_threads(1)
ANA = Ed25519PrivateKey.from_private_bytes(b"a" * 32)
RUN = CliRunner()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def told(data: Path, *words: str, code: int = 0) -> str:
    done = RUN.invoke(app, ["models", *words, "--data", str(data)], catch_exceptions=True)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done.output


def rows(data: Path, *words: str, code: int = 0) -> list[dict[str, Any]]:
    return [json.loads(line) for line in told(data, *words, "--json", code=code).splitlines()]


def ledger(data: Path, table: Any) -> list[Any]:
    opened = open_engine(f"sqlite:///{data / 'ledger.sqlite'}")
    with read(opened) as connection:
        found = list(connection.execute(table.select()).all())
    opened.dispose()
    return found


def test_from_a_key_to_a_model_that_answers(data: Path, tmp_path: Path) -> None:
    done = RUN.invoke(train_app, ["keys", "make", "--out", str(tmp_path / "keys"), "--name", "ana"])
    assert (done.exit_code, "id " in done.output) == (0, True)
    assert "is trusted" in told(data, "trust", str(tmp_path / "keys" / "ana.pub"), "--by", "Bo")
    card = tiny(tmp_path / "run").card
    report = evidence(tmp_path / "report.json", card)
    words = ["promote", str(tmp_path / "run"), "--to", str(data), "--key", str(tmp_path / "keys" / "ana.key")]
    done = RUN.invoke(train_app, [*words, "--who", "Ana", "--evidence", str(report)])
    assert done.exit_code == 0, done.output
    folder = data / "models" / "tiny-0.1.0"
    digest = read_card(folder).digest
    assert f"dicom-ai models activate {digest[:12]}" in done.output
    before = {Path(row["folder"]).name: row for row in rows(data, "list")}
    assert (before["tiny-0.1.0"]["who"], before["tiny-0.1.0"]["answers"]) == ("Ana", False)
    assert before["lung-signs-demo"]["answers"] is True, "nobody chose a model yet"
    assert "grade research" in told(data, "activate", digest[:12], "--by", "Bo")
    after = {Path(row["folder"]).name: row for row in rows(data, "list")}
    assert [after[name]["answers"] for name in ("tiny-0.1.0", "lung-signs-demo", "uterine-lesions-demo")] == [
        True, False, True,
    ]  # fmt: skip
    assert "answers already" in told(data, "activate", digest[:12])
    assert [(row.digest, row.role, row.grade, row.by) for row in ledger(data, models)] == [
        (digest, "champion", "research", "Bo")
    ]
    kinds = [row.kind for row in ledger(data, events)]
    assert kinds == ["key_trusted", "model_activated"]
    assert not any(str(tmp_path) in json.dumps(row.ids) for row in ledger(data, events))


def test_a_demonstration_can_be_chosen_and_the_one_before_becomes_former(data: Path, tmp_path: Path) -> None:
    demo = read_card(DEMO / "lung-signs-demo").digest
    told(data, "activate", demo[:8])
    other = promoted(data / "models" / "other", tmp_path / "run", ANA, "demonstration").card.digest
    told(data, "activate", other)
    assert {row.digest: row.role for row in ledger(data, models)} == {demo: "former", other: "champion"}
    assert "nothing answers for lung-signs" in told(data, "retire", other[:8])
    refused = [row for row in rows(data, "list", code=1) if row["row"] == "task"]
    assert [row["task"] for row in refused] == ["lung-signs"]
    assert "models activate" in refused[0]["fault"]
    told(data, "activate", demo[:8])
    assert {row.digest: row.role for row in ledger(data, models)} == {demo: "champion", other: "retired"}


def test_a_wrong_model_is_not_activated_and_changes_nothing(data: Path, tmp_path: Path) -> None:
    folder = promoted(data / "models" / "signed", tmp_path / "run", ANA).folder
    digest = read_card(folder).digest
    with pytest.raises(UntrustedModel, match="not trusted here"):
        told(data, "activate", digest[:12])
    with pytest.raises(ModelError, match="no model is installed with digest"):
        told(data, "activate", "0" * 12)
    with pytest.raises(ModelError, match="copy the folder there"):
        told(data, "activate", str(tmp_path / "run"))
    (folder / "card.json").write_text("{}")
    with pytest.raises(CardMismatch):
        told(data, "activate", str(folder))
    assert not (data / "ledger.sqlite").exists()
    (row,) = [row for row in rows(data, "list") if Path(row["folder"]).name == "signed"]
    assert "card.json" in row["fault"]
    assert "FAILED signed" in told(data, "verify", str(folder), code=1)


def test_trust_takes_public_keys_and_gives_them_back(data: Path, tmp_path: Path) -> None:
    RUN.invoke(train_app, ["keys", "make", "--out", str(tmp_path), "--name", "ana"])
    with pytest.raises(SettingsError, match="private one"):
        told(data, "trust", str(tmp_path / "ana.key"))
    with pytest.raises(SettingsError, match="No such file"):
        told(data, "trust", str(tmp_path / "none.pub"))
    told(data, "trust", str(tmp_path / "ana.pub"))
    (path,) = (data / "trust").iterdir()
    assert "trusted no more" in told(data, "distrust", path.stem)
    assert list((data / "trust").iterdir()) == []
    told(data, "distrust", path.stem, code=1)
    told(data, "distrust", "../site", code=1)
    assert [row.kind for row in ledger(data, events)] == ["key_trusted", "key_distrusted"]


@pytest.mark.parametrize("file", [True, False], ids=["from a file", "asked for"])
def test_a_passphrase_guards_the_key_of_a_promotion(tmp_path: Path, file: bool) -> None:
    (tmp_path / "pass").write_text("four words in a row\n")
    make = ["keys", "make", "--out", str(tmp_path), "--name", "ana"]
    given = ["--passphrase-file", str(tmp_path / "pass")]
    asked = "four words in a row\n"
    done = RUN.invoke(train_app, [*make, *(given if file else ["--passphrase"])], input="" if file else asked * 2)
    assert done.exit_code == 0, done.output
    assert b"ENCRYPTED" in (tmp_path / "ana.key").read_bytes()
    card = tiny(tmp_path / "run").card
    report = evidence(tmp_path / "r.json", card)
    words = ["promote", str(tmp_path / "run"), "--to", str(tmp_path / "to"), "--key", str(tmp_path / "ana.key")]
    words += ["--who", "Ana", "--evidence", str(report)]
    assert RUN.invoke(train_app, words, input="wrong\n").exit_code == 2
    assert not (tmp_path / "to").exists()
    done = RUN.invoke(train_app, [*words, *(given if file else [])], input="" if file else asked)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "to" / "signature.json").is_file()
