"""Arrows, purity, cycles, sizes and names of the three packages; and that each rule catches what it forbids."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests import architecture
from tests.architecture import ROOT

SOURCES = {module: path.read_text(encoding="utf-8") for module, path in architecture.our_modules().items()}
TREES = {module: ast.parse(source) for module, source in SOURCES.items()}
MODULES = pytest.mark.parametrize("module", sorted(TREES))


def test_there_is_something_to_look_at():
    assert {"dicom_ai.errors", "dicom_ai.crop", "models.card", "train"} <= set(TREES)


@MODULES
def test_arrows(module):
    assert architecture.wrong_arrows(module, TREES[module]) == []


@MODULES
def test_purity(module):
    assert architecture.impurities(module, TREES[module]) == []


@MODULES
def test_sizes(module):
    assert architecture.sizes(module, SOURCES[module]) == []


def test_no_cycle():
    assert architecture.cycles(architecture.graph(TREES)) == []


def test_torch_is_not_reached_from_the_torch_free_stages():
    assert architecture.loads_torch(TREES) == []


def test_torch_is_not_loaded_by_the_torch_free_stages():
    """The same by running it: a third-party package might import torch for itself. Nor what reads text in pictures."""
    stages = [module for module in TREES if architecture.is_in(module, architecture.TORCH_FREE)]
    modules = [module for module in stages if ".migrations" not in module]
    lines = [*(f"import {module}" for module in modules), "import sys"]
    lines.append("sys.exit(' '.join({'torch', 'onnxruntime', 'rapidocr'} & set(sys.modules)) or 0)")
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_no_file_has_a_name_that_says_nothing():
    folders = (*architecture.PACKAGES, "tests")
    paths = [path.relative_to(ROOT) for folder in folders for path in (ROOT / folder).rglob("*.py")]
    assert [str(path) for path in paths if architecture.is_forbidden_name(path)] == []


def test_every_folder_of_python_files_is_a_package():
    """Without __init__.py in every folder, tests/ would shadow `models` and `train`."""
    folders = {path.parent for top in (*architecture.PACKAGES, "tests") for path in (ROOT / top).rglob("*.py")}
    missing = {str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").exists()}
    assert {folder for folder in missing if "migrations" not in folder} == set()  # Alembic reads those by path


def test_no_package_imports_anything_in_its_init():
    inits = {m: TREES[m] for m, path in architecture.our_modules().items() if path.name == "__init__.py"}
    assert {module: names for module, tree in inits.items() if (names := list(architecture.imports(tree)))} == {}


WRONG_ARROWS = [
    ("models.registry", "from dicom_ai import errors"),
    ("models.registry", "import train"),
    ("models.card", "from models import registry"),
    ("dicom_ai.crop.region", "from dicom_ai.store import files"),
    ("dicom_ai.crop.region", "from dicom_ai import store"),
    ("dicom_ai.crop.region", "import dicom_ai.receive.acceptor"),
    ("dicom_ai.crop.region", "from dicom_ai.log import bind"),
    ("dicom_ai.report.structured", "from models import registry"),
    ("dicom_ai.report.structured", "from dicom_ai.classify import runtime"),
    ("dicom_ai.receive.acceptor", "from dicom_ai.store import ledger"),
    ("dicom_ai.receive.acceptor", "def f():\n    from dicom_ai.store import ledger"),
    ("dicom_ai.receive.acceptor", "if TYPE_CHECKING:\n    from dicom_ai.deliver import send"),
    ("dicom_ai.deliver.send", "from dicom_ai import service"),
    ("dicom_ai.store.ledger", "from dicom_ai import workflow"),
    ("dicom_ai.classify.runtime", "from dicom_ai.crop import frames"),
    ("dicom_ai.simulate.scanner", "from dicom_ai.deliver import send"),
    ("dicom_ai.workflow", "from dicom_ai import service"),
    ("dicom_ai.workflow", "from dicom_ai.simulate import pacs"),
    ("dicom_ai.service", "from dicom_ai.cli import main"),
    ("dicom_ai.service", "from dicom_ai.commands import doctor"),
    ("dicom_ai.service", "import train.fit"),
    ("dicom_ai.instance", "from dicom_ai import ports"),
    ("dicom_ai.errors", "from dicom_ai import instance"),
    ("dicom_ai.finding", "from models import card"),
    ("dicom_ai.crop.region", "from . import frames"),
    ("dicom_ai.crop.region", "from .frames import decode"),
    ("dicom_ai.crop.region", "from tests import builders"),
    ("dicom_ai.crop.region", "import importlib\nimportlib.import_module('dicom_ai.store')"),
    ("dicom_ai.crop.region", "__import__('dicom_ai.store')"),
]


@pytest.mark.parametrize(("module", "source"), WRONG_ARROWS)
def test_a_wrong_arrow_is_caught(module, source):
    assert len(architecture.wrong_arrows(module, ast.parse(source))) == 1


RIGHT_ARROWS = [
    ("dicom_ai.crop.region", "from dicom_ai.errors import NoImageArea\nfrom dicom_ai.crop import frames\nimport numpy"),
    ("dicom_ai.report.structured", "from models.card import ModelCard\nfrom models import card"),
    ("dicom_ai.classify.runtime", "from models import registry\nfrom dicom_ai import log"),
    ("dicom_ai.workflow", "from dicom_ai.store import ledger\nfrom dicom_ai.crop import cropper"),
    ("dicom_ai.cli", "from dicom_ai import __version__, service"),
    ("dicom_ai.__main__", "from dicom_ai.cli import main"),
    ("train.collect", "from dicom_ai.crop import cropper\nfrom models import card"),
]


@pytest.mark.parametrize(("module", "source"), RIGHT_ARROWS)
def test_a_right_arrow_passes(module, source):
    assert architecture.wrong_arrows(module, ast.parse(source)) == []


IMPURE = [
    ("dicom_ai.crop.region", "import os"),
    ("dicom_ai.crop.region", "from pathlib import Path"),
    ("dicom_ai.crop.region", "def f():\n    import time"),
    ("dicom_ai.crop.region", "import torch"),
    ("dicom_ai.report.overlay", "from torchvision import transforms"),
    ("dicom_ai.report.uid", "import uuid\nuuid.uuid4()"),
    ("dicom_ai.report.capture", "datetime.now(tz)"),
    ("dicom_ai.report.capture", "open('a')"),
    ("dicom_ai.report.capture", "ds.save_as('a')"),
    ("dicom_ai.report.capture", "from io import StringIO\ndcmwrite('a', ds)"),
    ("dicom_ai.finding", "import random"),
    ("dicom_ai.instance", "import socket"),
    ("dicom_ai.kept", "rng = np.random.default_rng()"),
    ("models.preprocess", "from os import environ"),
]


@pytest.mark.parametrize(("module", "source"), IMPURE)
def test_an_impurity_is_caught(module, source):
    assert len(architecture.impurities(module, ast.parse(source))) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("dicom_ai.crop.child", "import os, time, multiprocessing"),
        ("dicom_ai.crop.cropper", "import os"),
        ("models.preprocess", "import torch"),
        ("dicom_ai.store.files", "import os"),
        ("dicom_ai.report.uid", "import uuid\nuuid.uuid5(space, name)"),
        ("dicom_ai.report.header", "from io import BytesIO\nbuffer = BytesIO()\ndcmwrite(buffer, ds)"),
        ("dicom_ai.crop.support", "def f(rng: np.random.Generator) -> None: ..."),
    ],
)
def test_what_is_allowed_is_not_called_impure(module, source):
    assert architecture.impurities(module, ast.parse(source)) == []


def test_a_long_file_is_caught():
    assert architecture.sizes("m", "x = 1\n" * 300) == []
    assert architecture.sizes("m", "x = 1\n" * 301) == ["m: 301 lines"]


def test_a_long_function_is_caught_and_its_docstring_is_free():
    docstring = '    """Say it.\n' + "\n    and more" * 30 + '\n    """\n'
    assert architecture.sizes("m", "def f():\n" + docstring + "    x = 1\n" * 39) == []
    assert architecture.sizes("m", "def f():\n" + docstring + "    x = 1\n" * 40) == ["m.f: 41 lines"]


def test_a_long_parameter_list_is_caught_wherever_the_parameters_stand():
    assert architecture.sizes("m", "def f(self, a, b, /, c, *, d, e, f): ...") == []
    assert architecture.sizes("m", "def f(a, b, /, c, *d, e, f, **g): ...") == ["m.f: 7 parameters"]


@pytest.mark.parametrize(
    "name", ["utils.py", "crop_helpers.py", "store/base.py", "common/x.py", "models.py", "handler.py"]
)
def test_a_name_that_says_nothing_is_caught(name):
    assert architecture.is_forbidden_name(Path("dicom_ai") / name)


@pytest.mark.parametrize("path", ["models/card.py", "dicom_ai/store/files.py", "tests/unit/test_models_card.py"])
def test_a_name_that_says_something_passes(path):
    assert not architecture.is_forbidden_name(Path(path))


def test_a_cycle_is_caught_even_inside_functions():
    trees = {
        "a.b": ast.parse("from a.c import x"),
        "a.c": ast.parse("def f():\n    from a import b"),
        "a.d": ast.parse(""),
    }
    assert architecture.cycles(architecture.graph(trees)) == ["a.b", "a.c"]


def test_torch_is_found_through_other_modules_and_package_inits():
    trees = {
        "dicom_ai.receive.acceptor": ast.parse("from models.card import ModelCard"),
        "dicom_ai.crop.frames": ast.parse("def f():\n    import torch"),
        "dicom_ai.deliver.send": ast.parse("if TYPE_CHECKING:\n    import torch"),
        "models": ast.parse("from models import registry"),
        "models.registry": ast.parse("import torch.nn"),
        "models.card": ast.parse(""),
    }
    assert architecture.loads_torch(trees) == ["dicom_ai.receive.acceptor"]
