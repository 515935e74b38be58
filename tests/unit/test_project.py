"""The repository itself: packages that are ours, files that install anywhere, documents that are true."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import dicom_ai
import models
import train
from dicom_ai.site import read_site

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONSTRAINTS = (ROOT / "deploy" / "constraints.txt").read_text(encoding="utf-8").splitlines()
REGISTRY = re.compile(  # written so that this file does not hold what it looks for
    r"--(extra-)?index-url|--find-link[s]|https?://[\w.]*(pypi|pythonhosted|anaconda|download\.pytorch)"
    r"|\b(docker|quay|gcr|ghcr)\.io/|\bpypi\.org|\bregistry\.[\w-]+\.(com|io|org|cn)\b",
    re.IGNORECASE,
)
MACHINE_PATH = re.compile(r"(?<![\w.$}/-])/(work|root|home/(?!dicom-ai)\w+|Users|opt/(wheels|pypi))/")


def tracked_texts() -> dict[str, str]:
    """Path -> text of every file git tracks; files that are not UTF-8 text are left out."""
    try:
        done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    texts = {}
    for name in filter(None, done.stdout.split("\0")):
        try:
            texts[name] = (ROOT / name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):
            continue
    return texts


@pytest.mark.parametrize("package", [dicom_ai, models, train], ids=lambda package: package.__name__)
def test_the_packages_are_ours(package):
    assert Path(package.__file__ or "").parents[1] == ROOT


def test_the_version_in_the_changelog_is_not_ahead():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## [Unreleased]" in text
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", text, re.MULTILINE)
    assert all(version <= dicom_ai.__version__ for version in released)


def test_no_file_names_a_package_registry():
    found = {name: match[0] for name, text in tracked_texts().items() if (match := REGISTRY.search(text))}
    assert found == {}


def test_no_file_names_a_path_of_one_machine():
    found = {name: match[0] for name, text in tracked_texts().items() if (match := MACHINE_PATH.search(text))}
    assert found == {}


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (REGISTRY, "pip install --index-" + "url x"),
        (REGISTRY, "https://files.pytho" + "nhosted.org/packages/a.whl"),
        (REGISTRY, "image: ghcr.i" + "o/owner/name"),
        (REGISTRY, "see pypi.or" + "g"),
        (MACHINE_PATH, "cp /wo" + "rk/shared/a b"),
        (MACHINE_PATH, "'/ro" + "ot/x'"),
        (MACHINE_PATH, "/home/so" + "meone/x"),
    ],
)
def test_what_must_not_be_named_is_seen(pattern, text):
    assert pattern.search(text)


def test_constraints_are_exact_versions_and_nothing_else():
    lines = [line for line in CONSTRAINTS if line and not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line)] == []


def test_constraints_name_every_direct_requirement_in_a_version_we_allow():
    pinned = {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in CONSTRAINTS if "==" in line}
    project = PYPROJECT["project"]
    requirements = [
        *project["dependencies"],
        *(text for extra in project["optional-dependencies"].values() for text in extra),
    ]
    for requirement in map(Requirement, requirements):
        assert pinned[canonicalize_name(requirement.name)] in requirement.specifier, str(requirement)


def test_torch_and_torchvision_are_the_tested_pair():
    assert {"torch==2.14.1", "torchvision==0.29.1"} <= set(CONSTRAINTS)


def check_compose(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_the_compose_file_is_valid():
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        "docker-compose.yml",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_wrong_compose_file_is_refused(tmp_path):
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text((ROOT / "docker-compose.yml").read_text(encoding="utf-8").replace("volumes:", "volume:"))
    assert check_compose(wrong).returncode == 1


def test_the_site_file_of_compose_can_be_applied():
    site = read_site(ROOT / "deploy" / "site.compose.toml")
    assert [(node.host, node.forward, node.test) for node in site.destinations] == [("orthanc", "all", True)]
    assert {route.task for route in site.routes} == {"lung-signs", "uterine-lesions"}


def test_the_scripts_are_readable_by_bash():
    assert subprocess.run(["bash", "-n", ".ci/run"], cwd=ROOT, timeout=10).returncode == 0


def test_the_tests_of_ci_are_those_of_the_readme():
    assert "\nmake test\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "make test" in (ROOT / "README.md").read_text(encoding="utf-8")


def tree_of(readme: str) -> list[str]:
    """Paths of the block in README that starts with `dicom_ai/`: two spaces per level, names before two spaces."""
    block = next(
        (part for part in re.findall(r"```\w*\n(.*?)```", readme, re.DOTALL) if part.startswith("dicom_ai/")), ""
    )
    paths: list[str] = []
    above: list[str] = []
    for line in filter(str.strip, block.splitlines()):
        indent = len(line) - len(line.lstrip())
        if indent > 8:  # the explanation of the line before goes on
            continue
        names = re.split(r"\s{2,}|\s#", line.strip(), maxsplit=1)[0].split()
        paths += ["".join([*above[: indent // 2], name]) for name in names]
        above = [*above[: indent // 2], names[0]]
    return paths


def test_the_tree_is_read():
    assert tree_of("```\ndicom_ai/   the service\n  cli.py  x\n  crop/  y\n    child.py log.py  z\nmodels/\n```") == [
        "dicom_ai/",
        "dicom_ai/cli.py",
        "dicom_ai/crop/",
        "dicom_ai/crop/child.py",
        "dicom_ai/crop/log.py",
        "models/",
    ]


def test_the_tree_in_the_readme_is_the_tree_on_disk():
    paths = tree_of((ROOT / "README.md").read_text(encoding="utf-8"))
    if not paths:
        pytest.skip("README prints no tree that starts with dicom_ai/ yet")
    assert [path for path in paths if not (ROOT / path).exists()] == []
    stages = {path.parent.name for path in (ROOT / "dicom_ai").glob("*/__init__.py")}
    assert {stage for stage in stages if f"dicom_ai/{stage}/" not in paths} == set()
