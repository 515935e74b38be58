"""Deflated data sets over a real association, with the setting on: kept as they came; a bomb costs bounded memory."""

import io
import os
import re
from pathlib import Path

import pytest
from pydicom import dcmread

from dicom_ai.inflate import DEFLATED
from dicom_ai.instance import US_IMAGE
from dicom_ai.ports import data_set_digest
from dicom_ai.receive.tables import accepted
from dicom_ai.store import tables
from tests.deflating import MIB, deflated, element
from tests.protocol.test_receive import associate, scp_in, still, store


@pytest.fixture
def scp(tmp_path):
    running = scp_in(tmp_path)
    running.acceptor._tables = lambda: accepted(accept_all=True, deflated=True)
    yield running
    running.acceptor.drain(0.5)
    running.committer.stop()
    running.here.engine.dispose()


def squeezed(data_set: bytes, zeros_mib: int = 0) -> bytes:
    """A data set, deflated, with zeros behind it."""
    meta = b"\x02\0\0\0UL\4\0" + (28).to_bytes(4, "little") + b"\x02\0\x10\0UI\x14\x001.2.840.10008.1.2.1\0"
    head = len(meta) + 132 + 2
    return deflated(b"\0" * 128 + b"DICM" + meta + data_set, zeros_mib)[head:]


def peak_mib():
    return int(re.search(r"VmHWM:\s*(\d+)", Path(f"/proc/{os.getpid()}/status").read_text())[1]) // 1024


def test_object_is_kept_as_it_came(scp):
    sent = squeezed(still())
    association = associate(scp, (US_IMAGE, DEFLATED))
    assert store(association, sent, uid="1.2.3.4") == 0
    association.release()
    (row,) = scp.here.rows(tables.objects)
    assert (row.transfer_syntax, row.digest) == (DEFLATED, data_set_digest(sent, DEFLATED))
    content = scp.here.keeper.files.path(row.digest).read_bytes()
    assert content.endswith(sent)
    assert dcmread(io.BytesIO(content)).SOPInstanceUID == "1.2.3.4"


def test_bomb_is_kept_and_costs_the_acceptor_little(scp):
    bomb = squeezed(still() + element(0x7FE10010, b"OB", 2000 * MIB), zeros_mib=2000)
    before = peak_mib()
    association = associate(scp, (US_IMAGE, DEFLATED))
    assert store(association, bomb, uid="1.2.3.4") == 0
    association.release()
    assert peak_mib() - before < 100, "2000 MiB unfolded"


def test_nonsense_and_a_bomb_before_the_uids_are_refused(scp):
    association = associate(scp, (US_IMAGE, DEFLATED))
    assert store(association, b"\xff" * 500, uid="1.2.3.4") == 0xC210
    bomb = squeezed(element(0x00080001, b"OB", 500 * MIB), zeros_mib=500)
    assert store(association, bomb, uid="1.2.3.4") == 0xC210
    association.release()
    assert scp.here.rows(tables.objects) == []
