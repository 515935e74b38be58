"""`dicom-ai demo --once`: what a person sees on the first day."""

import os
import re
from pathlib import Path

import cv2
import pytest

from dicom_ai.report.code import CLASSES
from tests.e2e.service import marked, run
from tests.e2e.validators import classes_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(280)]

MARK = {"E2E_MARK": f"demo-{os.getpid()}"}


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder, and what was printed, as on a wide terminal."""
    folder = tmp_path_factory.mktemp("demo") / "demo"
    plain = {name: value for name, value in os.environ.items() if not name.startswith("DICOM_AI_")}
    env = {**plain, "COLUMNS": "400", "NO_COLOR": "1", **MARK}
    done = run("demo", "--once", "--data", folder, cwd=folder.parent, timeout_s=240, env=env)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder, done.stdout


@pytest.mark.parametrize("task", ["lung-signs", "uterine-lesions"])
def test_every_class_is_printed_with_state_and_probability(shown: tuple[Path, str], task: str) -> None:
    for class_id in classes_of(task):
        name = re.escape(CLASSES[class_id].finding.en)
        row = rf"^ *{name} +(Present|Absent|Indeterminate) +\d+\.\d\d %$"
        assert re.search(row, shown[1], re.MULTILINE), class_id


def test_the_report_is_printed_as_text(shown: tuple[Path, str]) -> None:
    assert shown[1].count("AI-GENERATED RESULT, NOT VERIFIED BY A PHYSICIAN") == 2
    assert "NOT FOR CLINICAL USE" in shown[1]


def test_the_heatmaps_lie_where_it_says_and_have_colour(shown: tuple[Path, str]) -> None:
    paths = [Path(found) for found in re.findall(r"^ *(/.+\.png)$", shown[1], re.MULTILINE)]
    assert len(paths) >= 8
    coloured = 0
    for path in paths:
        picture = cv2.imread(str(path))
        assert picture is not None, path
        assert picture.shape in {(873, 1164, 3), (802, 1054, 3)}
        coloured += bool((picture.max(axis=2) - picture.min(axis=2) > 60)[150:-200].any())
    assert coloured >= 2, "there is heat in some of them"


def test_nothing_is_left_running(shown: tuple[Path, str]) -> None:
    assert list(marked(MARK["E2E_MARK"])) == []


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    done = run("demo", "--once", "--data", tmp_path, cwd=tmp_path)
    assert done.returncode == 2
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
