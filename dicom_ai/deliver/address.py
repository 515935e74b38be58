"""`AE@HOST:PORT` becomes the address of a DICOM node, or an error that says what is wrong with it.

What this is not: a look-up. Whether the node exists is found out by calling it.
"""

import re
from dataclasses import dataclass

from dicom_ai.errors import SettingsError


@dataclass(frozen=True)
class Address:
    """A DICOM node."""

    ae_title: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.ae_title}@{host}:{self.port}"


_ADDRESS = re.compile(r"(?P<ae>[^@]*)@(?:\[(?P<v6>[^\]]*)\]|(?P<host>[^:\[\]@]*)):(?P<port>[0-9]{1,5})")
_SHAPE = "an address looks like PACS@192.0.2.7:104 or PACS@[2001:db8::7]:104"


def is_ae_title(text: str) -> bool:
    """Whether `text` can be an AE title: 1 to 16 printable ASCII characters, no backslash, not only spaces.

    Examples:
        >>> is_ae_title("PACS-1"), is_ae_title("A" * 17), is_ae_title("  ")
        (True, False, False)
    """
    return bool(text.strip()) and len(text) <= 16 and text.isascii() and text.isprintable() and "\\" not in text


def parse_address(text: str) -> Address:
    """Read an address as people write it.

    Args:
        text: `AE@HOST:PORT`; an IPv6 address stands in brackets.

    Raises:
        SettingsError: what is wrong and how it should look.

    Examples:
        >>> parse_address("PACS@[::1]:104")
        Address(ae_title='PACS', host='::1', port=104)
    """
    match = _ADDRESS.fullmatch(text.strip())
    if match is None:
        raise SettingsError(f"{text!r} is no address; {_SHAPE}")
    ae_title, host, port = match["ae"], match["v6"] or match["host"] or "", int(match["port"])
    if not is_ae_title(ae_title):
        raise SettingsError(f"{ae_title!r} is no AE title (1 to 16 ASCII characters, no backslash); {_SHAPE}")
    if not host:
        raise SettingsError(f"{text!r} names no host; {_SHAPE}")
    if not 1 <= port <= 65535:
        raise SettingsError(f"port {port} is not in 1..65535; {_SHAPE}")
    return Address(ae_title.strip(), host, port)
