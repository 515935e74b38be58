"""A read-only stream with a place of its own over bytes that lie elsewhere: a part of a file, fragments, folded bytes.

What this is not: a buffer; `io.BufferedReader` stands before it.
"""

import io
from abc import abstractmethod


class Seekable(io.RawIOBase):
    """What every such stream answers alike; `readinto` reads from `at` and moves it on.

    Attributes:
        at: the next byte, from 0; may lie behind the end.
    """

    def __init__(self) -> None:
        """Stand at the first byte."""
        self.at = 0

    @abstractmethod
    def end(self) -> int:
        """Number of bytes there are."""

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """The place."""
        return self.at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place, not before the first byte."""
        start = self.end() if whence == io.SEEK_END else self.at if whence == io.SEEK_CUR else 0
        self.at = max(0, start + offset)
        return self.at
