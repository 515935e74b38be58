"""The running service, seen from outside: who holds the data folder, whose a listening port is. Linux, /proc only.

What this is not: a lock or a socket of our own. A look that took the lock could make a service that starts at this
moment end as the second one.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_LISTEN = "0A"


def holder(data: Path) -> int | None:
    """Process id of the service that holds a data folder, None when nobody does."""
    try:
        inode = (data / "lock").stat().st_ino
    except OSError:
        return None
    for line in _lines(_PROC / "locks"):  # "1: FLOCK  ADVISORY  WRITE 812 08:01:1311 0 EOF"
        parts = line.split()
        if "->" not in parts and parts[1:2] == ["FLOCK"] and parts[5].rpartition(":")[2] == str(inode):
            return int(parts[4])
    return None


def listeners(port: int) -> set[int]:
    """Process ids that listen on a TCP port, as far as this user may see them."""
    inodes = {
        parts[9]
        for name in ("tcp", "tcp6")
        for parts in map(str.split, _lines(_PROC / "net" / name)[1:])
        if parts[3] == _LISTEN and int(parts[1].rpartition(":")[2], 16) == port
    }
    wanted = {f"socket:[{inode}]" for inode in inodes}
    return {pid for pid in _processes() if wanted & set(_open_files(pid))}


def belongs_to(pid: int, ancestor: int) -> bool:
    """Whether a process is `ancestor` or was started by it, at whatever distance."""
    while pid > 1 and pid != ancestor:
        pid = _parent(pid)
    return pid == ancestor


def roles_of(supervisor: int) -> list[str]:
    """Roles of a service that are running."""
    commands = [_command(pid) for pid in _processes() if _parent(pid) == supervisor]
    return sorted(words[words.index("dicom_ai.service") + 1] for words in commands if "dicom_ai.service" in words[:-1])


def name_of(pid: int) -> str:
    """Name of a process."""
    return next(iter(_lines(_PROC / str(pid) / "comm")), "?")


def _processes() -> Iterator[int]:
    return (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit())


def _open_files(pid: int) -> Iterator[str]:
    with suppress(OSError):  # it ended, or is another user's
        for entry in (_PROC / str(pid) / "fd").iterdir():
            with suppress(OSError):
                yield os.readlink(entry)  # noqa: PTH115 - no path: "socket:[123]"


def _parent(pid: int) -> int:
    stat = "".join(_lines(_PROC / str(pid) / "stat"))
    fields = stat.rpartition(")")[2].split()  # the name in front may hold anything
    return int(fields[1]) if len(fields) > 1 else 0


def _command(pid: int) -> list[str]:
    with suppress(OSError):
        return (_PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
    return []


def _lines(path: Path) -> list[str]:
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    return []
