"""Every fault of the list ends in quarantine with the reason that is its own, through the real decoding child.

The default run puts each fault into two sound objects drawn by a seed; `make verify` into every one that can carry it.
"""

import hashlib
import random
from copy import deepcopy
from functools import cache

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import JPEGBaseline8Bit, JPEGLosslessSV1

from dicom_ai.report.header import part10
from dicom_ai.simulate.exam import Shot, exam
from dicom_ai.simulate.patients import patient_of
from tests.faults import FAULTS, Fault
from tests.workplace import small_cropper

SEED = 20240311
SOUND = {
    "uncompressed still": ("logiq-e9", Shot(frozenset({"b_lines"}))),
    "uncompressed colour still": ("logiq-e9", Shot(frozenset({"consolidation"}), rgb=True)),
    "uncompressed clip": ("epiq-7c", Shot(frozenset({"b_lines"}), frames=3, compressed=False)),
    "jpeg clip": ("logiq-e9", Shot(frozenset({"pleural_effusion"}), frames=3)),
    "jpeg still": ("aplio-i800", Shot(frozenset({"b_lines"}))),
    "jpeg lossless still": ("epiq-7c", Shot(frozenset({"a_lines"}))),
    "rle still": ("mindray-nuewa-r9s", Shot(frozenset({"b_lines"}))),
}


@cache
def drawn(name: str) -> Dataset:
    device, shot = SOUND[name]
    (ds,) = exam("lung", seed=5, patient=patient_of(5), layout=device, content=[shot])
    return ds


def can_carry(name: str, fault: Fault) -> bool:
    ds = drawn(name)
    syntax = ds.file_meta.TransferSyntaxUID
    is_so = {
        "still": "NumberOfFrames" not in ds,
        "clip": "NumberOfFrames" in ds,
        "coded": syntax.is_encapsulated,
        "jpeg": syntax in (JPEGBaseline8Bit, JPEGLosslessSV1),
    }
    return all(is_so[word] for word in fault.needs.split())


def chosen(fault: str) -> list[str]:
    able = [name for name in SOUND if can_carry(name, FAULTS[fault])]
    return random.Random(f"{SEED} {fault}").sample(able, min(2, len(able)))


@pytest.fixture(scope="module")
def cropper():
    with small_cropper() as one:
        yield one


def refused(cropper, tmp_path, fault, name):
    """The outcome of the damaged object, whose file stays as it was."""
    content = FAULTS[fault].written(deepcopy(drawn(name)))
    path = tmp_path / "object.dcm"
    path.write_bytes(content)
    outcome, kept = cropper.crop(path, 4)
    assert kept is None
    assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(content).digest(), "nothing of it is lost"
    return outcome


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_ends_in_quarantine_with_its_own_reason(cropper, tmp_path, fault):
    for name in chosen(fault):
        outcome = refused(cropper, tmp_path, fault, name)
        assert (name, outcome.status, outcome.reason) == (name, "quarantined", FAULTS[fault].reason), f"seed {SEED}"


def test_the_sound_objects_have_no_fault(cropper, tmp_path):
    for name in SOUND:
        path = tmp_path / "object.dcm"
        path.write_bytes(part10(drawn(name)))
        assert (name, cropper.crop(path, 4)[0].reason) == (name, None)


@pytest.mark.verify
def test_every_fault_in_every_object_that_can_carry_it(cropper, tmp_path, figure):
    done = 0
    for fault in FAULTS:
        for name in SOUND:
            if can_carry(name, FAULTS[fault]):
                outcome = refused(cropper, tmp_path, fault, name)
                assert (fault, name, outcome.status, outcome.reason) == (
                    fault, name, "quarantined", FAULTS[fault].reason,
                )  # fmt: skip
                done += 1
    figure("faults put into sound objects and ended with their own reason", f"{done} of {done}", "all")
