"""Whatever was changed in a model, or never signed, stops it serving with a clear sentence, wherever it is loaded.

Every case goes the ways the service loads a model: `doctor`, `models verify` and `activate`, `analyse`, and the work
process of `serve` (registry, shelf, classifier).
"""

import json
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dicom_ai.analysis import Analyst, Style
from dicom_ai.classify.catalogue import read_installed
from dicom_ai.classify.runtime import Classifier
from dicom_ai.classify.shelf import CHAMPION, FORMER, RETIRED
from dicom_ai.classify.trust import digests_of
from dicom_ai.commands import model_folders, offline
from dicom_ai.commands.checkup import device
from dicom_ai.errors import ModelError
from dicom_ai.report.header import part10
from dicom_ai.serving import ShelfReader, named_in
from dicom_ai.settings import Classify, Settings, Store
from dicom_ai.simulate.exam import Shot
from dicom_ai.store import model_rows
from dicom_ai.store.database import open_engine, read
from models.card import ModelCard, read_card, write_card
from models.signature import SIGNATURE, sign
from models.weights import VECTORS, WEIGHTS, load_tensors, save_tensors
from tests.signed import NOW, promoted, trust
from tests.workplace import SITE, lung

torch.set_num_threads(1)
ANA = Ed25519PrivateKey.from_private_bytes(b"a" * 32)
EVE = Ed25519PrivateKey.from_private_bytes(b"e" * 32)
Change = Callable[[Path], None]


def edited(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Change the card's file by hand."""
    told = json.loads((folder / "card.json").read_text())
    edit(told)
    (folder / "card.json").write_text(json.dumps(told))


def flipped(folder: Path) -> None:
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / WEIGHTS).write_bytes(content)


def other_mean(folder: Path) -> None:
    edited(folder, lambda card: card["input"].update(mean=[0.4]))


def swapped(folder: Path) -> None:
    edited(folder, lambda card: card["classes"].reverse())


def pickled(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(pickle.dumps({"head.weight": [1.0]}))


def rewritten(folder: Path, card: ModelCard) -> None:
    write_card(card, folder)


def pickled_and_named(folder: Path) -> None:
    """A pickle whose digest the card states, as somebody would who writes the card anew."""
    pickled(folder)
    card = read_card(folder)
    rewritten(folder, card.model_copy(update={"digests": {**card.digests, WEIGHTS: digests_of(folder)[WEIGHTS]}}))


def mean_and_named(folder: Path) -> None:
    card = read_card(folder)
    rewritten(folder, card.model_copy(update={"input": card.input.model_copy(update={"mean": (0.4,)})}))


def unsigned(folder: Path) -> None:
    (folder / SIGNATURE).unlink()


def signed_by_a_stranger(folder: Path) -> None:
    (folder / SIGNATURE).write_bytes(sign(digests_of(folder), EVE, who="Ana", when=NOW.isoformat()))


def a_file_more(folder: Path) -> None:
    (folder / "weights.pt").write_bytes(b"x")


CASES: dict[str, tuple[Change, str]] = {
    "flipped bit": (flipped, r"weights\.safetensors was changed after it was signed"),
    "changed mean": (other_mean, r"card\.json was changed after it was signed"),
    "swapped classes": (swapped, r"card\.json was changed after it was signed"),
    "pickle": (pickled, r"weights\.safetensors was changed after it was signed"),
    "unsigned research card": (unsigned, r"claims grade research and is not signed; .*train promote"),
    "a stranger's signature": (signed_by_a_stranger, r"is not trusted here; .*models trust"),
    "a file more": (a_file_more, r"weights\.pt lies in the folder and was not signed"),
}


class Site:
    """A data folder with a signed research model that answers for lung signs."""

    def __init__(self, data: Path, shipped: Path) -> None:
        self.settings = Settings(store=Store(data=data), classify=Classify(device="cpu"))
        trust(data, ANA)
        self.folder = Path(shutil.copytree(shipped, data / "models" / "tiny"))
        self.digest = read_card(self.folder).digest
        assert model_folders.activate(self.digest[:12], self.settings, by="me", clock=lambda: NOW) == 0
        self.opened = open_engine(self.settings.database_url)
        self.now_s = 0.0
        self.shelf = ShelfReader(self.opened, data, monotonic=lambda: self.now_s)
        cropper: Any = None
        load = lambda one: Classifier(one.folder, card=one.card, device="cpu")  # noqa: E731
        self.analyst = Analyst(cropper, load, self.shelf, site=SITE, station="TEST", style=Style())

    def later(self) -> None:
        """More time than the shelf is trusted for."""
        self.now_s += 5.0

    def doctor(self) -> dict[str, Any]:
        with read(self.opened) as connection:
            named = named_in(connection)
        return {check.check: check for check in device.models(self.settings, None, named)}


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shipped")
    return promoted(root / "signed", root / "run", ANA).folder


@pytest.fixture
def site(tmp_path: Path, shipped: Path) -> Any:
    made = Site(tmp_path / "data", shipped)
    yield made
    made.opened.dispose()


@pytest.fixture(scope="module")
def exam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("exam")
    for number, ds in enumerate(lung(Shot(frozenset({"b_lines"})))):
        (root / f"{number}.dcm").write_bytes(part10(ds))
    return root


def test_the_signed_model_serves(site: Site, exam: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.analyst.model_for("lung-signs") == site.digest
    assert site.analyst.classifier(site.digest).card.grade == "research"
    found = site.doctor()
    assert (found["model tiny"].status, found["task lung-signs"].status) == ("ok", "ok")
    assert "signed by Ana" in found["model tiny"].detail
    assert "grade research" in found["task lung-signs"].detail
    assert model_folders.verify(None, site.settings, as_json=True) == 0
    capsys.readouterr()
    request = offline.Request((exam,), tmp_path / "out", "lung-signs", None, None)
    assert offline.analyse(request, site.settings, as_json=True) == 0
    (row,) = [one for one in map(json.loads, capsys.readouterr().out.splitlines()) if one["row"] == "set"]
    assert (row["model"], row["grade"]) == (site.digest, "research")


@pytest.mark.parametrize("case", CASES)
def test_what_was_changed_stops_serving_with_a_clear_sentence(
    site: Site, exam: Path, tmp_path: Path, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change, said = CASES[case]
    site.analyst.classifier(site.digest)  # it had been loaded and served
    change(site.folder)
    site.later()
    gone = said if "card" not in said or "research" in said else r"no folder .* holds it unchanged"
    with pytest.raises(ModelError, match=gone):
        site.analyst.model_for("lung-signs")
    with pytest.raises(ModelError):
        site.analyst.classifier(site.digest)
    found = site.doctor()
    assert (found["model tiny"].status, found["task lung-signs"].status) == ("failed", "failed")
    assert_says(found["model tiny"].detail, said)
    assert found["model tiny"].remedy
    assert model_folders.verify(str(site.folder), site.settings, as_json=False) == 1
    assert_says(capsys.readouterr().out, said)
    with pytest.raises(ModelError, match=said):
        model_folders.activate(str(site.folder), site.settings, by="me", clock=lambda: NOW)
    for model, words in ((site.folder, said), (None, gone)):
        request = offline.Request((exam,), tmp_path / "out", "lung-signs", model, None)
        with pytest.raises(ModelError, match=words):
            offline.analyse(request, site.settings, as_json=True)


def assert_says(text: str, pattern: str) -> None:
    assert re.search(pattern, text), text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (flipped, r"weights\.safetensors has SHA-256"),
        (other_mean, r"card\.json was changed after it was written"),
        (swapped, r"card\.json was changed after it was written"),
        (pickled, r"weights\.safetensors has SHA-256"),
        (pickled_and_named, "is not a safetensors file"),
    ],
    ids=["flipped bit", "changed mean", "swapped classes", "pickle", "pickle with its digest"],
)
def test_an_unsigned_demonstration_model_is_no_better_off(
    tmp_path: Path, shipped: Path, exam: Path, change: Change, said: str
) -> None:
    folder = Path(shutil.copytree(shipped, tmp_path / "toy"))
    unsigned(folder)
    rewritten(folder, read_card(folder).model_copy(update={"grade": "demonstration"}))
    settings = Settings(store=Store(data=tmp_path / "data"), classify=Classify(device="cpu"))
    assert read_installed(folder).require_trust().grade == "demonstration"
    change(folder)
    request = offline.Request((exam,), tmp_path / "out", "lung-signs", folder, None)
    with pytest.raises(ModelError, match=said):
        offline.analyse(request, settings, as_json=True)


def test_a_card_written_anew_is_another_model(site: Site) -> None:
    """Whoever knows how cards are written can make one that holds; nobody activated it and nobody signed it."""
    unsigned(site.folder)
    mean_and_named(site.folder)
    site.later()
    with pytest.raises(ModelError, match=r"no folder .* holds it unchanged"):
        site.analyst.model_for("lung-signs")
    with pytest.raises(ModelError, match="is not signed"):
        model_folders.activate(str(site.folder), site.settings, by="me", clock=lambda: NOW)


def test_a_wrong_device_stops_serving(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors of a network that computes otherwise, signed: nothing but the device's own outputs can tell."""
    card = read_card(site.folder)
    vectors = load_tensors(site.folder / VECTORS, card.digests[VECTORS])
    digest = save_tensors({**vectors, "logits": vectors["logits"] + 0.01}, site.folder / VECTORS)
    rewritten(site.folder, card.model_copy(update={"digests": {**card.digests, VECTORS: digest}}))
    unsigned(site.folder)
    (site.folder / SIGNATURE).write_bytes(sign(digests_of(site.folder), ANA, who="Ana", when=NOW.isoformat()))
    assert read_installed(site.folder).vouched is not None
    with pytest.raises(ModelError, match=r"cpu is 0\.01 from the stored outputs, 0\.001 is allowed"):
        model_folders.activate(str(site.folder), site.settings, by="me", clock=lambda: NOW)


@pytest.mark.parametrize(
    ("vectors", "said"),
    [
        ({"logits": torch.zeros(1)}, "stored outputs"),
        ({"input": torch.zeros(0, 1, 64, 64)}, "not pictures of the card's size"),
        ({"input": torch.zeros(8, 1, 32, 32)}, "not pictures of the card's size"),
        ({"input": torch.full((8, 1, 64, 64), float("nan"))}, "not finite"),
    ],
    ids=["one number", "none", "other size", "not finite"],
)
def test_vectors_that_prove_nothing_are_refused(
    tmp_path: Path, shipped: Path, vectors: dict[str, torch.Tensor], said: str
) -> None:
    folder = Path(shutil.copytree(shipped, tmp_path / "toy"))
    card = read_card(folder)
    stored = load_tensors(folder / VECTORS, card.digests[VECTORS])
    digest = save_tensors({**stored, **vectors}, folder / VECTORS)
    rewritten(folder, card.model_copy(update={"digests": {**card.digests, VECTORS: digest}}))
    with pytest.raises(ModelError, match=said):
        Classifier(folder, device="cpu")


def test_a_key_that_is_trusted_no_more_stops_what_it_signed(site: Site) -> None:
    assert site.analyst.model_for("lung-signs") == site.digest
    for path in (site.settings.store.data / "trust").iterdir():
        path.unlink()
    site.later()
    with pytest.raises(ModelError, match="not trusted here"):
        site.analyst.model_for("lung-signs")


def test_a_damaged_key_vouches_for_nothing_and_is_named(site: Site) -> None:
    (path,) = (site.settings.store.data / "trust").iterdir()
    path.write_text("no key")
    site.later()
    with pytest.raises(ModelError, match="not trusted here"):
        site.analyst.model_for("lung-signs")
    assert path.name in site.doctor()["trust"].detail


def test_a_retired_model_is_not_even_used_for_what_it_began(site: Site) -> None:
    assert site.analyst.classifier(site.digest)
    assert model_folders.retire(site.digest[:12], site.settings, by="me", clock=lambda: NOW) == 0
    site.later()
    with pytest.raises(ModelError, match="models activate"):
        site.analyst.model_for("lung-signs")
    with pytest.raises(ModelError, match="not installed any more"):
        site.analyst.classifier(site.digest)


def test_the_two_sides_name_the_roles_alike() -> None:
    assert (model_rows.CHAMPION, model_rows.FORMER, model_rows.RETIRED) == (CHAMPION, FORMER, RETIRED)
