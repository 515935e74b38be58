"""Scanners as data (`devices.toml`): which screens they draw and what they write around the pixels.

What this is not: a statement about real units; values stand for habits that are known of their makers.
"""

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Literal

from dicom_ai.errors import SettingsError

Encoding = Literal["raw", "jpeg", "jpeg-lossless", "rle-ybr"]


@dataclass(frozen=True)
class Device:
    """One scanner: see `devices.toml`."""

    name: str
    still: str
    clip: str
    manufacturer: str
    model: str
    software: str
    station: str
    implementation: str
    ae_title: str
    encoding: Encoding
    clip_encoding: Encoding
    probes: dict[str, str]
    image_type: tuple[str, ...]
    colour: bool = False
    burned_in: str = ""
    region_extras: bool = True
    padded_study_uid: bool = False
    private: Literal["", "full-screen", "preview"] = ""


@lru_cache(maxsize=1)
def devices() -> dict[str, Device]:
    """Every scanner by name."""
    text = files("dicom_ai.simulate").joinpath("devices.toml").read_text(encoding="utf-8")
    entries = tomllib.loads(text).items()
    return {name: Device(name, **{**entry, "image_type": tuple(entry["image_type"])}) for name, entry in entries}


def device(name: str) -> Device:
    """The scanner of a name.

    Raises:
        SettingsError: there is none; the message lists those there are.
    """
    if name not in devices():
        raise SettingsError(f"no device {name!r} is simulated; use {', '.join(devices())}")
    return devices()[name]
