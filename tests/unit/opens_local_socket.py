"""A program that talks to itself over a local socket, which stays allowed."""

import socket

if __name__ == "__main__":
    one, other = socket.socketpair()
    one.sendall(b"x")
    assert other.recv(1) == b"x"
