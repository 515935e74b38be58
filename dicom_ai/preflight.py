"""Say which system library is missing, before an import fails with a linker's message.

OpenCV's wheel brings its own FFmpeg but expects libGL and GLib from the system. What this is not: `doctor`, which
looks at settings, device and peers; this runs before anything of ours is imported.
"""

import ctypes
import sys
from collections.abc import Callable
from typing import TextIO

LIBRARIES = {
    "libGL.so.1": "libgl1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
}
"""Shared library -> the Debian and Ubuntu package that brings it."""


def missing_libraries(load: Callable[[str], object] = ctypes.CDLL) -> tuple[str, ...]:
    """Names of the libraries the loader does not find.

    Args:
        load: loads one shared library by name or raises OSError.
    """
    missing = []
    for name in LIBRARIES:
        try:
            load(name)
        except OSError:
            missing.append(name)
    return tuple(missing)


def require_libraries(load: Callable[[str], object] = ctypes.CDLL, out: TextIO | None = None) -> None:
    """Return if every system library is there; else name what is missing and how to get it.

    Args:
        load: as in `missing_libraries`.
        out: where the message goes; standard error if None.

    Raises:
        SystemExit: with code 1, after the message.
    """
    missing = missing_libraries(load)
    if not missing:
        return
    packages = " ".join(sorted({LIBRARIES[name] for name in missing}))
    print(  # the log is not configured yet
        f"dicom-ai needs {', '.join(missing)} from the system (OpenCV links to it).\n"
        f"On Debian or Ubuntu: apt-get install {packages}",
        file=out or sys.stderr,
    )
    raise SystemExit(1)
