"""A program that opens a socket of an internet family, so that a test can see that it is not let."""

import socket
import subprocess
import sys

if __name__ == "__main__":
    if sys.argv[1:] == ["child"]:
        sys.exit(7 if subprocess.run([sys.executable, __file__]).returncode < 0 else 0)
    socket.socket(socket.AF_INET6 if sys.argv[1:] == ["6"] else socket.AF_INET)
    sys.stdout.write("open\n")
