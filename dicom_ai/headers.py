"""Headers of stored objects, as a report needs them: also of those whose pixels or ends are damaged."""

import struct
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_partial

from dicom_ai.errors import UnreadableInstance
from dicom_ai.inflate import is_deflated, read_deflated

_FOREIGN = (
    InvalidDicomError, OSError, ValueError, KeyError, EOFError, RecursionError, NotImplementedError, struct.error,
)  # fmt: skip
_LAST_RECEIVED = 0x00280011  # Columns: the receiver looks at nothing behind it
_PIXELS = 0x7FE00008


def header(path: Path) -> Dataset:
    """The data set of a stored object without its pixels; of a damaged one what the receiver read as well.

    A report names every image of its study, those that cannot be read among them.

    Raises:
        UnreadableInstance: not even its beginning can be parsed.
    """
    try:
        with path.open("rb") as file:
            if is_deflated(file):  # a library would unfold it whole
                return read_deflated(file, before=_PIXELS)
            return pydicom.dcmread(file, stop_before_pixels=True)
    except _FOREIGN:
        return _beginning(path)


def _beginning(path: Path) -> Dataset:
    try:
        with path.open("rb") as file:
            if is_deflated(file):
                return read_deflated(file, before=_LAST_RECEIVED + 1)
            return read_partial(file, stop_when=lambda tag, _vr, _length: tag > _LAST_RECEIVED)
    except _FOREIGN as exc:
        raise UnreadableInstance(type(exc).__name__) from exc
