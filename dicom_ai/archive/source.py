"""Where studies are pulled from, whatever it speaks: it answers questions and gives objects."""

from collections.abc import Callable
from typing import Protocol

from dicom_ai.archive.contents import Series
from dicom_ai.archive.pages import Asked

Take = Callable[[bytes, str], bool]
"""(Part 10 file, SOP Instance UID of the message around it or "") -> whether it was asked for and is kept."""

MOST_UNASKED = 20
"""Objects nobody asked for that an archive may send in answer to one request; then it is not listened to any more."""


class Source(Asked, Protocol):
    """An archive or a folder."""

    def fetch(self, wanted: Series, take: Take, *, one_by_one: bool) -> None:
        """Have objects given to `take`, as far as the archive gives them.

        Args:
            wanted: what is asked for.
            take: gets whatever arrives.
            one_by_one: ask for single objects even where a whole series is wanted.

        Raises:
            PeerUnreachable, PeerRefused, PeerFailed: the archive gave nothing, or broke off.
        """

    def rest(self) -> None:
        """Nothing is asked for a while: let go of connections. Asking again opens them."""
