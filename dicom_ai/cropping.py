"""The crop as the settings of the site want it.

Apart from `analysis`, so that whoever only crops or reads a header loads no network.
"""

from collections.abc import Callable, Sequence

from dicom_ai.crop.catalogue import Layout
from dicom_ai.crop.cropper import Cropper
from dicom_ai.crop.policy import Policy
from dicom_ai.settings import Settings

PIPELINE_VERSION = "2"
"""Part of the analysis key: raised whenever decoding, cropping or scoring may answer differently."""


def cropper_of(settings: Settings, layouts: Callable[[], Sequence[Layout]] = tuple) -> Cropper:
    """The pool of decoding children as the settings want it; `layouts` supplies what people approved, latest first."""
    crop = settings.crop
    policy = Policy(deflated=settings.receive.deflated, unlisted=crop.unlisted, blank=crop.blank)
    return Cropper(
        children=crop.children, memory_mib=crop.memory_mib, timeout_s=crop.timeout_s, recycle_after=crop.recycle_after,
        policy=policy, layouts=layouts,
    )  # fmt: skip
