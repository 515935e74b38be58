"""The commands `models trust` and `models distrust`: whose signature counts here.

A key is a file in <data>/trust; the diary of the ledger says who put it there. What this is not: the making of keys
(`python -m train keys make`).
"""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from dicom_ai.classify.trust import FOLDER, SUFFIX
from dicom_ai.errors import SettingsError
from dicom_ai.groundwork import prepare
from dicom_ai.rows import say
from dicom_ai.settings import Settings
from dicom_ai.store import events
from dicom_ai.store.database import open_engine, write
from models.signature import KeyFault, key_id, public_pem, read_public


def trust(path: Path, settings: Settings, *, by: str, clock: Callable[[], datetime]) -> int:
    """Let signatures of a public key count.

    Raises:
        SettingsError: the file is no public key.
    """
    try:
        public = read_public(path.read_bytes())
    except OSError as exc:
        raise SettingsError(f"{path}: {exc.strerror}") from exc
    except KeyFault as exc:
        raise SettingsError(f"{path}: {exc}") from exc
    key = key_id(public)
    prepare(settings)
    target = _file(settings, key)
    target.parent.mkdir(mode=0o700, exist_ok=True)
    aside = target.with_name(f".{target.name}.part")
    aside.write_bytes(public_pem(public))
    aside.replace(target)
    _sync(target.parent)
    _tell(settings, "key_trusted", key, by, clock)
    sys.stdout.write(f"key {key} is trusted: models that its owner signs may serve with the grade they claim\n")
    return 0


def distrust(key: str, settings: Settings, *, by: str, clock: Callable[[], datetime]) -> int:
    """Let signatures of a key count no more; 1 when it was not trusted."""
    target = _file(settings, key)
    if not key.isalnum() or not target.exists():
        say(f"key {key} is not trusted here; the keys are the files in {target.parent}")
        return 1
    prepare(settings)
    target.unlink()
    _sync(target.parent)
    _tell(settings, "key_distrusted", key, by, clock)
    sys.stdout.write(f"key {key} is trusted no more: research and clinical models that only it signed stop serving\n")
    return 0


def _file(settings: Settings, key: str) -> Path:
    return settings.store.data / FOLDER / f"{key}{SUFFIX}"


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    with suppress(OSError):  # a file system that cannot
        os.fsync(fd)
    os.close(fd)


def _tell(settings: Settings, kind: str, key: str, by: str, clock: Callable[[], datetime]) -> None:
    opened = open_engine(settings.database_url)
    try:
        with write(opened) as connection:
            events.add(connection, clock(), kind, {"key": key, "by": by})
    finally:
        opened.dispose()
