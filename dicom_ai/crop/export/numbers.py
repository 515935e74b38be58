"""Numbers of a source header, believed only within the bounds of the published list; text never passes for a number."""

import re
import struct
from math import isfinite
from typing import Any

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import format_number_as_ds

from dicom_ai.crop.export.attributes import Attribute
from dicom_ai.crop.export.pseudonym import stated

_INTEGERS = ("IS", "UL", "SL", "US", "SS")
_BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d"}
_DECIMAL = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,3})?")


def numbers_of(source: Dataset, attribute: Attribute) -> list[float] | None:
    """The values of one attribute.

    Args:
        source: header or item.
        attribute: of the list, how "number".

    Returns:
        One or more values, or None when one of them is no number, not whole where it must be, or out of bounds.
    """
    if attribute.keyword not in source:
        return None
    try:
        values = _read(source.get_item(attribute.keyword), attribute.vr)
    except (KeyError, ValueError, TypeError, OverflowError, struct.error):
        return None
    is_whole = attribute.vr in _INTEGERS
    for one in values:
        if not isfinite(one) or not attribute.least <= one <= attribute.most or (is_whole and one != int(one)):
            return None
    return values or None


def _read(item: RawDataElement | DataElement, usual_vr: str) -> list[float]:
    """The numbers of an element; bytes are read here, as the library's warnings would quote a value it dislikes."""
    if not isinstance(item, RawDataElement):
        many = item.value if isinstance(item.value, (MultiValue, list, tuple)) else [item.value]
        return [float(one) for one in many if not isinstance(one, bytes)]
    vr, raw = item.VR or usual_vr, item.value or b""
    if vr in _BINARY:
        order = "<" if item.is_little_endian else ">"
        return [float(one) for (one,) in struct.iter_unpack(order + _BINARY[vr], raw)]
    parts = raw.decode("ascii").strip(" \0").split("\\")
    if vr not in {"DS", "IS"} or not all(_DECIMAL.fullmatch(part.strip()) for part in parts):
        raise ValueError("no number")
    return [float(part) for part in parts]


def written(values: list[float], vr: str) -> Any:
    """Values as pydicom wants them for a VR: DS of at most 16 characters, whole numbers whole."""
    if vr == "DS":
        made: list[Any] = [_decimal(one) for one in values]
    elif vr in _INTEGERS:
        made = [int(one) for one in values]
    else:
        made = list(values)
    return made[0] if len(made) == 1 else made


def number(source: Dataset, attribute: Attribute) -> float | None:
    """The only value of one attribute; None where there is none, or several."""
    values = numbers_of(source, attribute)
    return values[0] if values is not None and len(values) == 1 else None


def word(source: Dataset, attribute: Attribute) -> str | None:
    """The value of a closed attribute when it is one of its words; None otherwise."""
    value = stated(source, attribute.keyword)
    return value if value in attribute.values else None


def _decimal(value: float) -> str:
    text = repr(value).removesuffix(".0")
    return text if len(text) <= 16 else format_number_as_ds(value)
