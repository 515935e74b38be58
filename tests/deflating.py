"""Deflated Part 10 files, and bombs: a few kilobytes that unfold to as much as one likes."""

import zlib

DEFLATED_SYNTAX = b"\x02\0\x10\0UI\x16\x001.2.840.10008.1.2.1.99"
MIB = 1 << 20


def deflated(part10: bytes, zeros_mib: int = 0) -> bytes:
    """An Explicit VR Little Endian file with its data set deflated (PS3.5 A.5), and zeros behind it.

    `zeros_mib` zeros cost about a kilobyte each: one block of them is repeated, nothing is compressed again.
    """
    at = 132 + 12 + int.from_bytes(part10[140:144], "little")
    meta = part10[132:at].replace(b"\x02\0\x10\0UI\x14\x001.2.840.10008.1.2.1\0", DEFLATED_SYNTAX)
    squeeze = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    body = squeeze.compress(part10[at:]) + squeeze.flush(zlib.Z_FULL_FLUSH)
    block = squeeze.compress(bytes(MIB)) + squeeze.flush(zlib.Z_FULL_FLUSH)
    length = (int.from_bytes(part10[140:144], "little") + 2).to_bytes(4, "little")
    return part10[:132] + meta[:8] + length + meta[12:] + body + block * zeros_mib + squeeze.flush()


def element(tag: int, vr: bytes, length: int) -> bytes:
    """Head of an element with a long length field, for a value of zeros that follows."""
    return (
        (tag >> 16).to_bytes(2, "little")
        + (tag & 0xFFFF).to_bytes(2, "little")
        + vr
        + b"\0\0"
        + length.to_bytes(4, "little")
    )
