"""What the storage SCP accepts: storage classes and transfer syntaxes, as tables.

Accepted means kept and forwarded as it came; whether it can be decoded is found out later, in a child process.
Deflated data sets are accepted only where `receive.deflated` is on: a few kilobytes can unfold to gigabytes.
What this is not: routes and peers (those are the site's tables).
"""

from dataclasses import dataclass

from pynetdicom import AllStoragePresentationContexts

from dicom_ai.inflate import DEFLATED
from dicom_ai.instance import STRUCTURED_REPORTS, US_IMAGE, US_IMAGE_RETIRED, US_MULTI_FRAME, US_MULTI_FRAME_RETIRED

# Uncompressed (PS3.5 A.1, A.2, A.3). The order is our preference where a sender offers several in one context:
# uncompressed before lossless before lossy, so that no sender compresses for our sake.
EXPLICIT_LE = "1.2.840.10008.1.2.1"
IMPLICIT_LE = "1.2.840.10008.1.2"
EXPLICIT_BE = "1.2.840.10008.1.2.2"  # retired, still sent by old scanners

# Lossless
RLE = "1.2.840.10008.1.2.5"
JPEG_LOSSLESS_SV1 = "1.2.840.10008.1.2.4.70"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.57"
JPEG_LS_LOSSLESS = "1.2.840.10008.1.2.4.80"
JPEG_2000_LOSSLESS = "1.2.840.10008.1.2.4.90"
HTJ2K_LOSSLESS = "1.2.840.10008.1.2.4.201"
HTJ2K_LOSSLESS_RPCL = "1.2.840.10008.1.2.4.202"

# Lossy stills and clips of frames
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
JPEG_LS_NEAR_LOSSLESS = "1.2.840.10008.1.2.4.81"
JPEG_2000 = "1.2.840.10008.1.2.4.91"
HTJ2K = "1.2.840.10008.1.2.4.203"

# Video: one stream for all frames; the ".1" forms may cut the stream into fragments
MPEG2_ML = "1.2.840.10008.1.2.4.100"
MPEG2_ML_FRAGMENTED = "1.2.840.10008.1.2.4.100.1"
MPEG2_HL = "1.2.840.10008.1.2.4.101"
MPEG2_HL_FRAGMENTED = "1.2.840.10008.1.2.4.101.1"
MPEG4_HP41 = "1.2.840.10008.1.2.4.102"
MPEG4_HP41_FRAGMENTED = "1.2.840.10008.1.2.4.102.1"
MPEG4_HP41_BD = "1.2.840.10008.1.2.4.103"
MPEG4_HP41_BD_FRAGMENTED = "1.2.840.10008.1.2.4.103.1"
MPEG4_HP42_2D = "1.2.840.10008.1.2.4.104"
MPEG4_HP42_2D_FRAGMENTED = "1.2.840.10008.1.2.4.104.1"
MPEG4_HP42_3D = "1.2.840.10008.1.2.4.105"
MPEG4_HP42_3D_FRAGMENTED = "1.2.840.10008.1.2.4.105.1"
MPEG4_HP42_STEREO = "1.2.840.10008.1.2.4.106"
MPEG4_HP42_STEREO_FRAGMENTED = "1.2.840.10008.1.2.4.106.1"
HEVC_MP51 = "1.2.840.10008.1.2.4.107"
HEVC_M10P51 = "1.2.840.10008.1.2.4.108"

TRANSFER_SYNTAXES: tuple[str, ...] = (
    EXPLICIT_LE,
    IMPLICIT_LE,
    EXPLICIT_BE,
    RLE,
    JPEG_LOSSLESS_SV1,
    JPEG_LOSSLESS,
    JPEG_LS_LOSSLESS,
    JPEG_2000_LOSSLESS,
    HTJ2K_LOSSLESS,
    HTJ2K_LOSSLESS_RPCL,
    JPEG_BASELINE,
    JPEG_EXTENDED,
    JPEG_LS_NEAR_LOSSLESS,
    JPEG_2000,
    HTJ2K,
    MPEG2_ML,
    MPEG2_ML_FRAGMENTED,
    MPEG2_HL,
    MPEG2_HL_FRAGMENTED,
    MPEG4_HP41,
    MPEG4_HP41_FRAGMENTED,
    MPEG4_HP41_BD,
    MPEG4_HP41_BD_FRAGMENTED,
    MPEG4_HP42_2D,
    MPEG4_HP42_2D_FRAGMENTED,
    MPEG4_HP42_3D,
    MPEG4_HP42_3D_FRAGMENTED,
    MPEG4_HP42_STEREO,
    MPEG4_HP42_STEREO_FRAGMENTED,
    HEVC_MP51,
    HEVC_M10P51,
)
"""Accepted transfer syntaxes, in order of preference; `crop` decodes every one of them."""

US_CLASSES: tuple[str, ...] = (US_IMAGE, US_MULTI_FRAME, US_IMAGE_RETIRED, US_MULTI_FRAME_RETIRED)
"""Always accepted, with structured reports: one may be a verdict on ours. Old scanners send the retired classes."""

OTHER_STORAGE_CLASSES: tuple[str, ...] = tuple(
    str(context.abstract_syntax)
    for context in AllStoragePresentationContexts
    if str(context.abstract_syntax) not in (*US_CLASSES, *STRUCTURED_REPORTS)
)
"""Accepted only where we forward: they are never analysed."""


@dataclass(frozen=True)
class Accepted:
    """What is negotiated at this moment."""

    storage_classes: tuple[str, ...] = US_CLASSES + STRUCTURED_REPORTS
    transfer_syntaxes: tuple[str, ...] = TRANSFER_SYNTAXES


def accepted(accept_all: bool, *, deflated: bool = False) -> Accepted:
    """What to accept.

    Args:
        accept_all: some destination is forwarded everything.
        deflated: deflated data sets too, as the last choice.
    """
    return Accepted(
        US_CLASSES + STRUCTURED_REPORTS + (OTHER_STORAGE_CLASSES if accept_all else ()),
        (*TRANSFER_SYNTAXES, DEFLATED) if deflated else TRANSFER_SYNTAXES,
    )


def is_little_endian(transfer_syntax_uid: str) -> bool:
    """Byte order of the data set."""
    return transfer_syntax_uid != EXPLICIT_BE


def is_implicit_vr(transfer_syntax_uid: str) -> bool:
    """Whether elements come without their VR."""
    return transfer_syntax_uid == IMPLICIT_LE
