"""A missing system library is named with its remedy."""

import io

import pytest

from dicom_ai.preflight import LIBRARIES, missing_libraries, require_libraries


def loader_without(*absent: str):
    def load(name: str) -> object:
        if name in absent:
            raise OSError(f"{name}: cannot open shared object file: No such file or directory")
        return object()

    return load


def test_nothing_is_said_when_all_are_there():
    out = io.StringIO()
    require_libraries(loader_without(), out)
    assert out.getvalue() == ""


def test_missing_libgl_is_named_with_its_package():
    out = io.StringIO()
    with pytest.raises(SystemExit) as stop:
        require_libraries(loader_without("libGL.so.1"), out)
    assert stop.value.code == 1
    assert "libGL.so.1" in out.getvalue()
    assert out.getvalue().endswith("apt-get install libgl1\n")


def test_a_package_that_brings_two_libraries_is_named_once():
    out = io.StringIO()
    with pytest.raises(SystemExit):
        require_libraries(loader_without(*LIBRARIES), out)
    assert out.getvalue().endswith("apt-get install libgl1 libglib2.0-0\n")


def test_this_machine_has_them_all():
    assert missing_libraries() == ()
