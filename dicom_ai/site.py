"""The site's tables: who may call, which exam is which task, where results go. Versioned in the ledger.

Written by people as `deploy/site.toml`, put into force by `dicom-ai apply`, read by every process from the newest
ledger row.
"""

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dicom_ai.errors import SettingsError


class _Row(BaseModel):
    # outer spaces never mean anything here, and a field of spaces would match no object, or every description
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class Peer(_Row):
    """A device that may call us."""

    ae_title: str = Field(min_length=1, max_length=16)
    description: str = ""
    host: str = ""  # where it takes reports of storage commitment; empty: nowhere
    port: int = Field(104, ge=1, le=65535)


class Route(_Row):
    """Which task an ultrasound object belongs to; every stated field must match, the first matching row wins."""

    task: Literal["lung-signs", "uterine-lesions"]
    calling_ae: str = ""
    called_ae: str = ""
    manufacturer: str = ""
    model: str = ""
    body_part: str = ""
    procedure_code: str = ""
    description_contains: str = ""


class Destination(_Row):
    """A node that receives originals, results or both."""

    name: str = Field(min_length=1, max_length=64)
    ae_title: str = Field(min_length=1, max_length=16)
    host: str
    port: int = Field(ge=1, le=65535)
    forward: Literal["all", "none"] = "none"
    results: bool = True
    release: Literal["store", "hold"] = "store"  # hold: results wait until a person releases them
    test: bool = False  # results of demonstration models go only to destinations marked as test


class SiteTables(_Row):
    """Everything `dicom-ai apply` puts into force."""

    peers: tuple[Peer, ...] = ()
    routes: tuple[Route, ...] = ()
    destinations: tuple[Destination, ...] = ()

    @model_validator(mode="after")
    def _distinct(self) -> "SiteTables":
        names = [d.name for d in self.destinations]
        if len(names) != len(set(names)):
            raise ValueError("two destinations share a name")
        return self

    def address_of(self, ae_title: str) -> Peer | None:
        """The peer of this AE title if it can be called, else None."""
        return next((peer for peer in self.peers if peer.ae_title == ae_title and peer.host), None)

    def destination(self, name: str) -> Destination | None:
        """The destination of this name, None when it was taken out of the tables."""
        return next((d for d in self.destinations if d.name == name), None)


def read_site(path: Path) -> SiteTables:
    """Read a site file.

    Raises:
        SettingsError: all problems, one per line. Show it and exit with 2.
    """
    try:
        return SiteTables.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as exc:
        raise SettingsError(f"{path}: {exc.strerror}") from exc
    except tomllib.TOMLDecodeError as exc:
        raise SettingsError(f"{path}: {exc}") from exc
    except ValidationError as exc:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in exc.errors()]
        raise SettingsError("\n  ".join([str(path), *lines])) from exc
