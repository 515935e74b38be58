"""Parts that cost seconds to start and that several unit tests share: a decoding child, a tiny model, a reported study.

A module that needs others defines fixtures of the same name. Imported where they are made: other tests need no torch.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from dicom_ai.classify.catalogue import Installed
    from dicom_ai.crop.cropper import Cropper
    from tests.reported import Reported, Snapshot


@pytest.fixture(scope="module")
def cropper() -> "Iterator[Cropper]":
    """A decoding child."""
    from tests.workplace import small_cropper

    with small_cropper() as one:
        yield one


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> "Installed":
    """A tiny model that calls its first class present."""
    from tests.workplace import tiny

    return tiny(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory, cropper: "Cropper", model: "Installed") -> "Snapshot":
    """A study whose report has reached a PACS, made once."""
    from tests.reported import Snapshot

    return Snapshot(tmp_path_factory.mktemp("reported"), cropper, model)


@pytest.fixture
def reported(tmp_path: Path, snapshot: "Snapshot") -> "Iterator[Reported]":
    """A copy of that study for one test, with its PACS up."""
    with snapshot.copy(tmp_path) as one:
        yield one


@pytest.fixture
def prepared(reported: "Reported") -> None:
    """The engine's tables are in that study's ledger, as commands need them."""
    from dicom_ai import engine

    engine.prepare(reported.work.settings.database_url)
