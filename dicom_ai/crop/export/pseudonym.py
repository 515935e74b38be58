"""What stands in place of identity: keyed hashes and shifted dates, the same for the same input at the same site.

Without the site's secret nobody can go back, nor tell whether two sites export the same patient. Equal inputs give
equal outputs, so that studies, series and patients stay together over many exports. What this is not: a table of who
is who; there is none, and whoever holds the secret and the original can make the value again.
"""

import hashlib
import hmac
import json
import uuid
from datetime import datetime, timedelta

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from dicom_ai.charset import text_of
from dicom_ai.crop.words import character_sets
from dicom_ai.errors import UnreadableInstance

LONGEST_SHIFT_DAYS = 365
"""A patient's dates and times move back by one day to this many days, to the second."""

_MOMENTS = ("Study", "Series", "Acquisition", "Content")


class Pseudonyms:
    """Keyed names of one site.

    Args:
        secret: of the site, as `SiteId.namespace` (64 hex digits); never written anywhere.
    """

    def __init__(self, secret: str) -> None:
        # a key of its own, so that no value made here equals one made for reports with the same secret
        self._key = hmac.digest(secret.encode(), b"dicom-ai export 1", hashlib.sha256)

    def name(self, *said: str) -> str:
        """16 upper-case hexadecimal digits for what is said."""
        return self._digest(*said)[:8].hex().upper()

    def file_name(self, *said: str) -> str:
        """32 lower-case hexadecimal digits for what is said."""
        return self._digest("file", *said)[:16].hex()

    def uid(self, *said: str) -> str:
        """A UID under 2.25 (PS3.5 B.2) for what is said; at most 44 characters."""
        return f"2.25.{uuid.UUID(bytes=self._digest('uid', *said)[:16], version=5).int}"

    def shift(self, patient: str) -> timedelta:
        """How far the dates and times of a patient move back: whole seconds, 1 to `LONGEST_SHIFT_DAYS` days.

        Seconds, because the time of day alone finds an examination in a hospital's book.
        """
        span = (LONGEST_SHIFT_DAYS - 1) * 86400 + 1
        return timedelta(seconds=86400 + int.from_bytes(self._digest("shift", patient)[:8], "big") % span)

    def _digest(self, *said: str) -> bytes:
        return hmac.digest(self._key, json.dumps(said, ensure_ascii=True).encode(), hashlib.sha256)


def replacements(source: Dataset, keys: Pseudonyms, content: str) -> dict[str, str]:
    """The keyed and shifted values of an exported object.

    Args:
        source: header as received.
        keys: of the site.
        content: digest of what is shown; another crop of the same object is another instance.

    Returns:
        Keyword to value, for every "keyed" and "shifted" attribute that the object will have.

    Raises:
        UnreadableInstance: the source does not say which instance, series or study it is.
    """
    study, series, instance = (stated(source, f"{kind}InstanceUID") for kind in ("Study", "Series", "SOP"))
    if not (study and series and instance):
        raise UnreadableInstance("no SOP, Series or Study Instance UID")
    # without a Patient ID nothing says that two studies are of one person
    patient = stated(source, "PatientID") or f"\0study\0{study}"
    uid = keys.uid("instance", instance, content)
    name = "P" + keys.name("patient", patient)
    return {
        "PatientID": name,
        "PatientName": name,
        "StudyInstanceUID": keys.uid("study", study),
        "SeriesInstanceUID": keys.uid("series", series),
        "SOPInstanceUID": uid,
        "MediaStorageSOPInstanceUID": uid,
        **_moments(source, keys.shift(patient)),
    }


def device(source: Dataset, keys: Pseudonyms, known: frozenset[tuple[str, str]]) -> dict[str, str]:
    """Manufacturer and Manufacturer's Model Name: as `known` writes them, or keyed names by which devices group.

    Args:
        source: header as received.
        keys: of the site.
        known: makers (words that must all stand in the stated one) and models (compared whole) of the published
            layout catalogue; text of a header is never trusted to name a device and nothing else.
    """
    maker, model = stated(source, "Manufacturer"), stated(source, "ManufacturerModelName")
    words = set(maker.casefold().split())
    for known_maker, known_model in sorted(known):
        if model.casefold() == known_model.casefold() and set(known_maker.casefold().split()) <= words:
            return {"Manufacturer": known_maker, "ManufacturerModelName": known_model}
    if not maker and not model:
        return {"Manufacturer": "", "ManufacturerModelName": ""}
    return {
        "Manufacturer": "M" + keys.name("maker", maker.casefold()) if maker else "",
        "ManufacturerModelName": "D" + keys.name("model", maker.casefold(), model.casefold()),
    }


def stated(source: Dataset, keyword: str) -> str:
    """A value as text without padding, "" when absent; bytes that are no text of their set still give a stable one."""
    if keyword not in source:
        return ""
    try:
        value = source.get_item(keyword).value
        if isinstance(value, bytes):
            value = _text(value, source)
    except (KeyError, ValueError, TypeError):
        return ""
    if isinstance(value, (MultiValue, list)):
        value = "\\".join(str(one) for one in value)
    return "" if value is None else str(value).strip(" \0")


def _text(raw: bytes, source: Dataset) -> str | list[str]:
    try:
        return text_of(raw, character_sets(source), "LO")
    except ValueError:
        return raw.decode("latin-1")


def _moments(source: Dataset, shift: timedelta) -> dict[str, str]:
    """Shifted dates and times; what is no date or time is left out."""
    moved: dict[str, str] = {}
    for kind in _MOMENTS:
        day = stated(source, f"{kind}Date").replace(".", "")
        clock = stated(source, f"{kind}Time").replace(":", "").split(".")[0]
        at = _read(day + clock, "%Y%m%d%H%M%S", 14) or _read(day + clock, "%Y%m%d%H%M", 12)
        noon = _read(day + "12", "%Y%m%d%H", 10)  # a date alone: right to the day
        try:
            if at is not None:
                moved |= {f"{kind}Date": f"{at - shift:%Y%m%d}", f"{kind}Time": f"{at - shift:%H%M%S}"}
            elif noon is not None:
                moved[f"{kind}Date"] = f"{noon - shift:%Y%m%d}"
        except OverflowError:
            continue
    return {keyword: value for keyword, value in moved.items() if keyword.endswith("Time") or len(value) == 8}


def _read(digits: str, form: str, length: int) -> datetime | None:
    if len(digits) != length or not (digits.isascii() and digits.isdigit()):
        return None
    try:
        return datetime.strptime(digits, form)  # noqa: DTZ007 - the scanner's own zone
    except ValueError:
        return None
