"""UIDs from names: the same analysis always makes the same UIDs, so a retry repeats an object instead of doubling it.

A UID is 2.25 followed by a 128-bit number (PS3.5 B.2) taken from the SHA-256 of what the object is. What this is
not: a source of fresh UIDs; nothing here knows chance or time.
"""

import hashlib
import json
import uuid
from collections.abc import Sequence


def result_uid(namespace: str, analysis_key: str, kind: str, sop_class: str, index: int) -> str:
    """UID of one thing an analysis makes.

    Args:
        namespace: of the site, made once at first start.
        analysis_key: of `analysis_key`.
        kind: what it is, for example "sr", "sr-series", "capture", "tracking".
        sop_class: SOP Class UID of an instance, so that one UID never exists under two SOP classes; "" for what
            is not an instance.
        index: which of its kind, from 0.

    Returns:
        At most 44 characters.
    """
    return _named("result", namespace, analysis_key, kind, sop_class, index)


def device_uid(namespace: str, card_digest: str) -> str:
    """Device UID of one model at one site: changes when the card (weights, thresholds) changes, and only then."""
    return _named("device", namespace, card_digest)


def analysis_key(
    members: Sequence[tuple[str, str, str]],
    *,
    task: str,
    card_digest: str,
    pipeline: str,
    report: str,
    language: str,
) -> str:
    """What makes an analysis the one it is; equal keys mean equal results.

    Args:
        members: (SOP Instance UID, data-set digest, digest of the crop outcome) of every member; any order.
        task: task name.
        card_digest: of the model's card.
        pipeline: version of decoding, cropping and scoring.
        report: version of the report's form, and how its captures are drawn.
        language: of the report.

    Returns:
        64 lower-case hexadecimal digits.
    """
    said = {
        "members": sorted(list(member) for member in members),
        "task": task,
        "card": card_digest,
        "pipeline": pipeline,
        "report": report,
        "language": language,
    }
    return hashlib.sha256(_canonical(said)).hexdigest()


def _named(*parts: object) -> str:
    digest = hashlib.sha256(_canonical(parts)).digest()
    # Marked as a name-based UUID; its hash is SHA-256 cut to 128 bits instead of the SHA-1 of RFC 9562 version 5.
    return f"2.25.{uuid.UUID(bytes=digest[:16], version=5).int}"


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
