"""A process that may not have a network: opening a socket of an internet family is the end of it, child processes too.

The kernel watches (seccomp, SECCOMP_RET_KILL_PROCESS), so that native libraries and processes that were started by it
are watched as well as Python. Run as `python -m tests.no_network MODULE ARGUMENT...`; it ends by SIGSYS when a socket
of AF_INET or AF_INET6 is asked for. Local sockets stay allowed: processes talk to their children over them.
"""

import ctypes
import platform
import runpy
import struct
import sys

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 38, 22, 2  # linux/prctl.h, linux/seccomp.h
_KILL_PROCESS, _ALLOW = 0x80000000, 0x7FFF0000
_SOCKET = {"x86_64": 41, "aarch64": 198}  # number of the system call
_FAMILIES = (2, 10)  # AF_INET, AF_INET6
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K
_NUMBER, _FIRST_ARGUMENT = 0, 16  # offsets in struct seccomp_data; a family fits the lower half


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def forbid() -> None:
    """From now on this process and its children are killed when they open a socket of an internet family.

    Raises:
        OSError: the kernel does not let processes limit themselves.
        KeyError: a processor whose system calls are not known here.
    """
    rules = (
        (_LOAD, 0, 0, _NUMBER),
        (_EQUAL, 0, 4, _SOCKET[platform.machine()]),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_EQUAL, 1, 0, _FAMILIES[0]),
        (_EQUAL, 0, 1, _FAMILIES[1]),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_RETURN, 0, 0, _ALLOW),
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in rules))
    program = _Program(len(rules), ctypes.addressof(code))
    library = ctypes.CDLL(None, use_errno=True)
    limit = (_PR_SET_SECCOMP, _FILTER, ctypes.byref(program), 0, 0)
    if library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or library.prctl(*limit):
        raise OSError(ctypes.get_errno(), "the kernel takes no filter of system calls")


if __name__ == "__main__":
    forbid()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
