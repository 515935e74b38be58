"""A C-ECHO: whether a DICOM node answers us, and how fast.

What this is not: a permission to store. A node may answer verification and refuse every storage class.
"""

import time

from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from dicom_ai.deliver.send import Sender
from dicom_ai.errors import After, PeerFailed
from dicom_ai.ports import Node
from dicom_ai.settings import Deliver

_CONTEXT = (str(Verification), str(ImplicitVRLittleEndian))


def echo(node: Node, settings: Deliver) -> float:
    """Call a node and ask it for a sign of life.

    Args:
        node: whom to call.
        settings: our AE title and the time limits.

    Returns:
        Seconds from the first TCP packet to the response.

    Raises:
        PeerUnreachable: no connection, rejected, dropped, or no response in time.
        PeerRefused: the node does not accept verification.
        PeerFailed: the node answered with a failure.
    """
    begin = time.monotonic()
    with Sender(settings).associate(node, [_CONTEXT]) as association:
        status = association.echo(*_CONTEXT)
        elapsed_s = time.monotonic() - begin
    if status != 0:
        raise PeerFailed(status, After.RETRY, "to C-ECHO")
    return elapsed_s
