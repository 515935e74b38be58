"""A bound on what one message may hold in memory, kept while it arrives.

pynetdicom gathers the fragments of a message in memory and hands the message over behind the last one, so that a
limit on the object would be looked at too late. Here fragments beyond the limit are let go as they come: the peer
gets its refusal where the object ends, and its other objects their chance. What goes on beyond twice the limit, or
is a command longer than any, ends the association. What this is not: a limit on the number of associations.
"""

from collections.abc import Callable
from typing import Any, cast

from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.pdu_primitives import P_DATA

from dicom_ai.errors import ObjectTooLarge

_LONGEST_COMMAND = 1 << 16  # a C-STORE request takes a few hundred bytes


def require_size(n_bytes: int, limit: int) -> None:
    """Check the size of a data set as far as it was kept.

    Raises:
        ObjectTooLarge: it has more than `limit` bytes.
    """
    if n_bytes > limit:
        raise ObjectTooLarge


def bind(association: Association, limit: int, tell: Callable[[], None]) -> None:
    """Bound the messages of an association that was only just asked for.

    Args:
        association: nothing but its request has arrived.
        limit: bytes of a data set; one more is kept, so that `require_size` sees that there were more.
        tell: called before the association is aborted.
    """
    association.dimse.__class__ = _BoundedMessages
    bounded = association.dimse
    assert isinstance(bounded, _BoundedMessages)  # noqa: S101 - exchanged in the line before
    bounded.limit, bounded.tell = limit, tell


class _BoundedMessages(DIMSEServiceProvider):
    """Lets the fragments through that fit; runs in the thread that reads the socket."""

    limit: int
    tell: Callable[[], None]
    _n_dropped = 0
    _is_over = False

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take the fragments of one P-DATA primitive."""
        if self._is_over:
            return
        if self._admit(primitive):
            super().receive_primitive(primitive)
            return
        self._is_over, self.message = True, None
        self.tell()
        self.dul.event_queue.put("Evt19")  # as pynetdicom ends an association after a message it cannot read

    def _admit(self, primitive: P_DATA) -> bool:
        """Cut what does not fit; False when there is no use in going on."""
        if self.message is None:
            self._n_dropped = 0
        n_command = self.message.encoded_command_set.tell() if self.message is not None else 0
        n_there = self.message.data_set.tell() if self.message is not None and self.message.data_set else 0
        admitted: list[list[int | bytes]] = []
        for context_id, fragment in primitive.presentation_data_value_list:
            if not fragment:  # not even the control header, PS3.8 E.2
                return False
            if fragment[0] & 1:
                n_command += len(fragment)
                admitted.append([context_id, fragment])
                continue
            kept = fragment[: 1 + self.limit + 1 - n_there]
            self._n_dropped += len(fragment) - len(kept)
            n_there += len(kept) - 1
            admitted.append([context_id, kept])
        if n_command > _LONGEST_COMMAND or self._n_dropped > self.limit:
            return False
        if self._n_dropped:
            primitive.presentation_data_value_list = cast(Any, admitted)  # lists, whatever its type says
        return True
