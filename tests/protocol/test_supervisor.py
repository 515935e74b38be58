"""Role processes follow their supervisor, whatever its process id is."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_CHILD = "import sys; from dicom_ai.supervisor import follow_parent; follow_parent(int(sys.argv[1])); print('alive')"
_PARENT = "import os, subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1], str(os.getpid())])"


def run(*command: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=env)


def test_a_role_lives_under_its_supervisor() -> None:
    assert run(sys.executable, "-c", _CHILD, str(os.getpid())).stdout == "alive\n"


def test_a_role_whose_supervisor_is_gone_already_ends() -> None:
    ended = run(sys.executable, "-c", _CHILD, "999999999")
    assert (ended.returncode, ended.stdout) == (1, "")


def test_a_role_lives_under_a_supervisor_that_is_the_first_process_of_a_container() -> None:
    if shutil.which("unshare") is None or run("unshare", "-rpf", "true").returncode != 0:
        pytest.skip("no process namespaces here (unshare -rpf)")
    found = run("unshare", "-rpf", sys.executable, "-c", f"import os; assert os.getpid() == 1\n{_PARENT}", _CHILD)
    assert found.stdout == "alive\n", found.stderr
