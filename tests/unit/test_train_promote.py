"""Promotion writes a signed folder of named files, and refuses what is unproven or worse than its parent."""

import hashlib
import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from dicom_ai.classify.catalogue import Installed, read_installed
from dicom_ai.errors import DicomAIError
from models.card import read_card
from models.signature import SIGNATURE, KeyFault, key_id
from models.weights import WEIGHTS
from tests.signed import FIGURES, NOW, evidence, promoted
from tests.workplace import tiny
from train.keys import load_private, make_keys
from train.promote import Promoted, Promotion, Refused, promote
from train.report_of_test import REPORT, NoEvidence, TestReport, read_report, worse

torch.set_num_threads(1)
ANA = Ed25519PrivateKey.from_private_bytes(b"a" * 32)
KEYS = {key_id(ANA.public_key()): ANA.public_key()}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return tiny(tmp_path_factory.mktemp("run"))


def figures(**changes: float | None) -> dict[str, Any]:
    """The metrics with figures replaced: `macro_auc=0.5`, `a_lines_f1=None`."""
    made = deepcopy(FIGURES)
    for name, value in changes.items():
        where, figure = name.rsplit("_", 1)
        (made["macro"] if where == "macro" else made["per_class"][where])[figure] = value
    return made


def wanted(run: Installed, to: Path, report: Path, **changes: Any) -> Promotion:
    return Promotion(**{"run": run.folder, "to": to, "who": "Ana", "grade": "research", "evidence": report} | changes)


def test_the_folder_holds_the_named_files_signed_and_nothing_else(run: Installed, tmp_path: Path) -> None:
    (run.folder / "checkpoint.ckpt").write_bytes(b"left behind")
    report = evidence(tmp_path / "r.json", run.card)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "site.json").write_text("{}")
    made = promote(wanted(run, tmp_path / "data", report), ANA, NOW)
    assert made.folder == tmp_path / "data" / "models" / "tiny-0.1.0"
    names = {"card.json", "weights.safetensors", "vectors.safetensors", "README.md", REPORT, SIGNATURE}
    assert {path.name for path in made.folder.iterdir()} == names
    one = read_installed(made.folder, KEYS)
    assert (one.is_signed, one.grade, one.card.parent) == (True, "research", None)
    assert one.vouched is not None
    assert (one.vouched.who, one.vouched.when, one.vouched.key) == ("Ana", NOW.isoformat(), made.key)
    assert one.card.digests[REPORT] == hashlib.sha256(report.read_bytes()).hexdigest()
    assert one.card.metrics[-1]["split_digest"] == "b" * 64
    assert "Grade: research" in (made.folder / "README.md").read_text()
    assert read_installed(made.folder).is_signed is False  # by a key that nobody trusts here
    assert [path.name for path in made.folder.parent.iterdir()] == [made.folder.name]
    with pytest.raises(Refused, match="there already"):
        promote(wanted(run, tmp_path / "data", report, parent="none"), ANA, NOW)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Promoted:
    root = tmp_path_factory.mktemp("line")
    return promoted(root / "models" / "first", root / "run", ANA)


class TestParent:
    def next(self, run: Installed, first: Promoted, tmp_path: Path, metrics: dict[str, Any], **changes: Any) -> Any:
        report = evidence(tmp_path / "r.json", run.card, metrics, changes.pop("split", "b" * 64))
        to = first.folder.with_name(f"next-{tmp_path.name}")
        return promote(wanted(run, to, report, **{"parent": first.card.digest[:12]} | changes), ANA, NOW)

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"a_lines_auc": 0.87}, "a_lines: auc fell from 0.900 to 0.870"),
            ({"macro_f1": 0.7}, "macro: f1 fell from 0.800 to 0.700"),
            ({"a_lines_f1": None}, "a_lines: f1 was 0.800 and is not stated any more"),
        ],
    )
    def test_a_worse_one_is_refused_and_nothing_is_written(
        self, run: Installed, first: Promoted, tmp_path: Path, changes: dict[str, float], said: str
    ) -> None:
        before = sorted(first.folder.parent.iterdir())
        with pytest.raises(Refused, match=said):
            self.next(run, first, tmp_path, figures(**changes))
        assert sorted(first.folder.parent.iterdir()) == before

    def test_within_the_margin_it_is_promoted_and_names_its_parent(
        self, run: Installed, first: Promoted, tmp_path: Path
    ) -> None:
        made = self.next(run, first, tmp_path, figures(a_lines_auc=0.88, macro_f1=0.95))
        assert made.card.parent == first.card.digest
        assert made.card.metrics[-1]["margin"] == 0.02
        with pytest.raises(Refused):
            self.next(run, first, tmp_path, figures(a_lines_auc=0.88), margin=0.01)

    def test_another_test_set_proves_nothing(self, run: Installed, first: Promoted, tmp_path: Path) -> None:
        with pytest.raises(Refused, match="one locked test set"):
            self.next(run, first, tmp_path, figures(), split="c" * 64)

    def test_the_parent_must_be_named_where_there_is_one(self, run: Installed, first: Promoted, tmp_path: Path) -> None:
        with pytest.raises(Refused, match=r"--parent DIGEST, or --parent none; there are first"):
            self.next(run, first, tmp_path, figures(), parent=None)
        with pytest.raises(Refused, match="0 promoted models"):
            self.next(run, first, tmp_path, figures(), parent="f" * 12)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda told: told["model"].update(weights="0" * 64), "is of weights 000000000000"),
        (lambda told: told["metrics"]["per_class"].pop("b_lines"), "does not say how good the model is at b_lines"),
        (lambda told: told.pop("split"), "split: Field required"),
        (lambda told: told["metrics"]["macro"].update(auc=1.5), r"metrics\.macro\.auc"),
    ],
    ids=["other weights", "a class less", "no split", "more than one"],
)
def test_evidence_that_proves_nothing_is_refused(run: Installed, tmp_path: Path, edit: Any, said: str) -> None:
    report = evidence(tmp_path / "r.json", run.card)
    told = json.loads(report.read_text())
    edit(told)
    report.write_text(json.dumps(told))
    with pytest.raises(Refused, match=said):
        promote(wanted(run, tmp_path / "to", report), ANA, NOW)
    report.write_text("NaN,")
    with pytest.raises(Refused, match="not JSON"):
        promote(wanted(run, tmp_path / "to", report), ANA, NOW)
    assert not (tmp_path / "to").exists()


def test_a_run_that_is_not_its_cards_is_not_signed(tmp_path: Path) -> None:
    run = tiny(tmp_path / "run")
    report = evidence(tmp_path / "r.json", run.card)
    content = bytearray((run.folder / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (run.folder / WEIGHTS).write_bytes(content)
    with pytest.raises(DicomAIError, match="SHA-256"):
        promote(wanted(run, tmp_path / "to", report), ANA, NOW)
    with pytest.raises(Refused, match="--who"):
        promote(wanted(run, tmp_path / "to", report, who=" "), ANA, NOW)
    assert read_card(run.folder) == run.card


shares = st.one_of(st.none(), st.floats(0, 1))


@settings(max_examples=50)
@given(st.lists(shares, min_size=6, max_size=6), st.lists(shares, min_size=6, max_size=6), st.floats(0, 0.5))
def test_worse_means_lower_by_more_than_the_margin_or_gone(
    before: list[float | None], after: list[float | None], margin: float
) -> None:
    old, new = report_of(before), report_of(after)
    expected = [a for a, b in zip(before, after, strict=True) if a is not None and (b is None or b < a - margin - 1e-9)]
    assert len(worse(new, old, margin)) == len(expected)
    assert worse(old, old, 0.0) == []
    with pytest.raises(NoEvidence, match="data"):
        worse(new, old.model_copy(update={"data": new.split.model_copy(update={"digest": "f" * 64})}), margin)


def report_of(values: list[float | None]) -> TestReport:
    pairs = [{"auc": auc, "f1": f1} for auc, f1 in zip(values[::2], values[1::2], strict=True)]
    told = {
        "schema_version": 1, "model": {"weights": "0" * 64},
        "data": {"digest": "a" * 64}, "split": {"digest": "b" * 64},
        "metrics": {"macro": pairs[0], "per_class": {"x": pairs[1] | {"n": 1}, "y": pairs[2] | {"n": 1}}},
        "curves": "and whatever else an evaluation says",
    }  # fmt: skip
    return read_report(json.dumps(told).encode())


class TestKeys:
    def test_the_private_key_is_its_owners_alone(self, tmp_path: Path) -> None:
        pair = make_keys(tmp_path / "keys", "ana", b"four words in a row")
        assert (pair.private.stat().st_mode & 0o777, pair.public.stat().st_mode & 0o777) == (0o600, 0o644)
        assert key_id(load_private(pair.private, b"four words in a row").public_key()) == pair.key
        pair.private.chmod(0o640)
        with pytest.raises(KeyFault, match="others may read"):
            load_private(pair.private, b"four words in a row")

    def test_a_key_is_never_replaced(self, tmp_path: Path) -> None:
        kept = make_keys(tmp_path, "ana").private.read_bytes()
        with pytest.raises(KeyFault, match="never replaced"):
            make_keys(tmp_path, "ana")
        assert (tmp_path / "ana.key").read_bytes() == kept

    @pytest.mark.parametrize("name", ["", "../ana", "a b", ".ana", "a" * 65])
    def test_a_name_that_is_no_files(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(KeyFault, match="name"):
            make_keys(tmp_path, name)

    def test_what_is_no_key(self, tmp_path: Path) -> None:
        (tmp_path / "x.key").write_text("x")
        (tmp_path / "x.key").chmod(0o600)
        with pytest.raises(KeyFault, match=r"x\.key"):
            load_private(tmp_path / "x.key")
        with pytest.raises(KeyFault, match="cannot be read"):
            load_private(tmp_path / "y.key")


def test_statistics_travel_with_the_weights(tmp_path: Path) -> None:
    from tests.unit.test_models_feature_distance import far_away

    card = far_away(tmp_path / "run")
    report = evidence(tmp_path / "r.json", card)
    made = promote(wanted(Installed(tmp_path / "run", card), tmp_path / "to", report), ANA, NOW)
    assert (made.folder / "distance.safetensors").is_file()
    assert made.card.abstain == card.abstain
    assert replace(read_installed(made.folder, KEYS), vouched=None).is_signed
