"""A process that has imported everything once, and runs each command of `dicom-ai` in a fork of itself.

    python -m tests.contract.forking    # prints its port, ends when its standard input does

A connection is a command: a JSON list of its arguments goes in, its process id comes back as a line, then what it
says, at last its exit code as a line. What this is not: a start of `python -m dicom_ai`; the verify variant does that.
"""

import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import sys
import threading

import dicom_ai.commands
from dicom_ai.cli import main


def import_commands() -> None:
    """Import what the commands import late, torch and the engine's client among it."""
    for found in pkgutil.walk_packages(dicom_ai.commands.__path__, "dicom_ai.commands."):
        importlib.import_module(found.name)


def accept(listener: socket.socket) -> socket.socket | None:
    """The connection of the next command, in its own process; None here when nobody has another one."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return None
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return connection
        connection.close()


def begin(connection: socket.socket) -> None:
    """Fork once more and return in the process that is the command; the other one tells how it ended, and is over."""
    with connection, connection.makefile("rw") as line:
        arguments = json.loads(line.readline())
        command = os.fork()
        if command != 0:
            _, status = os.waitpid(command, 0)
            line.write(f"\n{os.waitstatus_to_exitcode(status)}\n")
            line.flush()
            os._exit(0)
        line.write(f"{os.getpid()}\n")
        line.flush()
        for stream in (1, 2):
            os.dup2(connection.fileno(), stream)
        sys.argv = ["dicom-ai", *arguments]


def serve() -> bool:
    """Wait for commands; True in a process that is one."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait for a command
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
        print(listener.getsockname()[1], flush=True)  # noqa: T201 - the port, for who started this
        end = os.dup(0)

        def until_the_end() -> None:
            os.read(end, 1)
            listener.shutdown(socket.SHUT_RDWR)

        threading.Thread(target=until_the_end, daemon=True).start()
        connection = accept(listener)
    if connection is not None:
        begin(connection)
    return connection is not None


if __name__ == "__main__":
    import_commands()
    gc.freeze()  # what all share is not taken down again at the end of each; that would take seconds
    if serve():
        main()
