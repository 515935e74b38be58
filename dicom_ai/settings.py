"""Settings: one TOML file and the environment become one frozen tree; every problem is reported at once.

Environment variables are `DICOM_AI_<SECTION>__<FIELD>` (for example `DICOM_AI_RECEIVE__PORT=104`) and override
the file. An unknown key or variable stops the start. Peers, routes, destinations and active models are not
here: they are versioned ledger rows, filled from a site file by `dicom-ai apply`.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from dicom_ai.errors import SettingsError
from dicom_ai.points import VARIABLE as KILL_AT

PREFIX = "DICOM_AI_"


class Section(BaseModel):
    """A part of the settings; each stage gets its own, never the whole."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Site(Section):
    """Who and where the installation is."""

    timezone: str = Field("UTC", description="zone of dates and times written into DICOM objects")
    language: Literal["en", "zh"] = Field("en", description="language of reports and heatmaps")
    name: str = Field("dicom-ai", max_length=16, description="station name of this installation")

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as exc:
            raise ValueError(f"no time zone is called {value!r}; use a name such as Asia/Shanghai") from exc
        return value


class Receive(Section):
    """The storage SCP."""

    ae_title: str = Field("DICOM_AI", min_length=1, max_length=16, description="AE title the scanners call")
    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 for all")
    port: int = Field(11112, ge=0, le=65535, description="TCP port; 0 takes a free one")
    max_associations: int = Field(32, ge=1, le=512, description="associations served at once")
    max_pdu_bytes: int = Field(131072, ge=4096, le=1048576, description="largest PDU we announce, bytes")
    max_object_mib: int = Field(2048, ge=1, description="largest object accepted, MiB")
    idle_timeout_s: float = Field(60.0, gt=0, description="an association silent this long is aborted, seconds")
    known_peers_only: bool = Field(False, description="accept only calling AE titles listed as peers")
    conflict: Literal["keep", "refuse"] = Field(
        "keep", description="same UID with other content: keep it for a person to decide, or refuse it (0x0111)"
    )
    deflated: bool = Field(False, description="accept deflated data sets")
    mpps: bool = Field(True, description="accept performed procedure steps (MPPS): a completed one may end the wait")


class Store(Section):
    """Object files and ledger."""

    data: Path = Field(Path("data"), description="data folder: spool, store, ledger, models, trust")
    database_url: str = Field(
        "", description="ledger, empty: SQLite in the data folder; or postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"
    )
    min_free_mib: int = Field(512, ge=0, description="objects are refused below this much free space, MiB")
    commit_wait_ms: float = Field(5.0, ge=0, le=1000, description="group commit waits at most this long, ms")
    commit_batch: int = Field(32, ge=1, le=1024, description="objects committed together at most")
    settle_quiet_s: float = Field(60.0, ge=0, description="a study is closed after this much silence, seconds")
    settle_late_quiet_s: float = Field(120.0, ge=0, description="the same for late objects of a closed study")
    settle_signal_s: float = Field(
        5.0, ge=0, description="the same when the scanner listed all it sent (storage commitment), seconds"
    )


class Crop(Section):
    """The decoding children, and what they may decide without a person."""

    children: int = Field(1, ge=1, le=64, description="decoding processes")
    memory_mib: int = Field(1536, ge=768, description="address space of one decoding process, MiB")
    timeout_s: float = Field(120.0, gt=0, description="wall clock of one object, seconds")
    recycle_after: int = Field(200, ge=1, description="a decoding process is replaced after this many objects")
    unlisted: Literal["witnesses", "quarantine"] = Field(
        "witnesses", description="a device outside the layout catalogue: decided by region and picture, or quarantined"
    )
    blank: Literal["static", "never"] = Field(
        "static", description="small text standing still over a clip is painted black, or quarantined like other text"
    )
    approvals: int = Field(1, ge=1, le=2, description="people who must approve a keep polygon before it counts")


class Classify(Section):
    """The device."""

    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    threads: int = Field(0, ge=0, description="CPU threads of the network; 0: as many as cores")
    workers: int = Field(2, ge=1, le=16, description="source sets prepared at once")


class Model(Section):
    """One task."""

    enabled: bool = Field(True, description="false: no analysis for this task; objects are kept and forwarded")


class Models(Section):
    """Which tasks are analysed. TOML: [models.lung-signs]; environment: DICOM_AI_MODELS__LUNG_SIGNS__ENABLED."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)

    lung_signs: Model = Field(Model(), alias="lung-signs", description="A-lines, B-lines, effusion, consolidation")
    uterine_lesions: Model = Field(Model(), alias="uterine-lesions", description="polyp, submucous fibroid")

    def is_enabled(self, task: str) -> bool:
        """Whether objects of a task ("lung-signs", "uterine-lesions") are analysed."""
        model: Model = getattr(self, task.replace("-", "_"))
        return model.enabled


class Report(Section):
    """What goes to the PACS."""

    on_failure: Literal["report", "alarm"] = Field(
        "report", description="a study that cannot be analysed: an Indeterminate report with its reason, or an alarm"
    )
    colour_map: Literal["perceptual", "red_is_highest"] = Field(
        "perceptual", description="colours of heat: lightness rises evenly with it, or blue to red as in the papers"
    )
    rendering: Literal["overlay", "side_by_side"] = Field(
        "overlay",
        description="heat over the cropped picture, or the bare picture to the left and the heated one to the right",
    )


class Deliver(Section):
    """Sending."""

    ae_title: str = Field("DICOM_AI", min_length=1, max_length=16, description="our AE title when we call")
    connect_timeout_s: float = Field(10.0, gt=0, description="TCP and association, seconds")
    response_timeout_s: float = Field(60.0, gt=0, description="one C-STORE response, seconds")
    forward_wait_s: float = Field(1.0, ge=0, description="objects arriving within this time share an association")
    first_retry_s: float = Field(5.0, gt=0, description="first back-off, doubled each time, seconds")
    max_retry_s: float = Field(900.0, gt=0, description="longest back-off, seconds")
    retention_h: float = Field(168.0, gt=0, description="a delivery is given up after this many hours")


class Log(Section):
    """Log lines on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level written")
    format: Literal["auto", "json", "text"] = Field("auto", description="auto: text on a terminal, else JSON")


class Settings(BaseSettings):
    """Everything a process of the service may be told."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix=PREFIX, env_nested_delimiter="__")

    site: Site = Site()
    receive: Receive = Receive()
    store: Store = Store()
    crop: Crop = Crop()
    classify: Classify = Classify()
    models: Models = Models()
    report: Report = Report()
    deliver: Deliver = Deliver()
    log: Log = Log()

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of the ledger."""
        return self.store.database_url or f"sqlite:///{(self.store.data / 'ledger.sqlite').absolute()}"


def read_settings(path: Path | None = None, **overrides: Any) -> Settings:
    """Read the settings file and the environment.

    Args:
        path: the TOML file; None looks for `dicom_ai.toml` in the working folder and does without if absent.
        overrides: sections given on the command line; they win over file and environment.

    Raises:
        SettingsError: all problems, one per line. Show it and exit with 2.
    """
    problems = _unknown_variables()
    file = path or Path("dicom_ai.toml")
    if path is not None and not path.is_file():
        problems.append(f"{path}: no such settings file")
    settings: Settings | None = None
    try:
        settings = _bound(file)(**overrides)
    except ValidationError as exc:
        for error in exc.errors():
            where = ".".join(str(part) for part in error["loc"]) or str(file)
            problems.append(f"{where}: {error['msg']}")
    except ValueError as exc:  # TOMLDecodeError and unreadable environment values
        problems.append(f"{file}: {exc}")
    if problems or settings is None:
        raise SettingsError("\n  ".join(["", *problems]))
    # the plain class: what was read compares equal wherever it was read from
    return Settings.model_construct(**{name: getattr(settings, name) for name in Settings.model_fields})


def _bound(file: Path) -> type[Settings]:
    class FromFile(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, file)

    return FromFile


def _unknown_variables() -> list[str]:
    """A misspelled section in a variable would be ignored silently; compare every variable with the names."""
    known = set(_names(Settings, PREFIX))
    return [
        f"{name}: unknown environment variable"
        for name in sorted(os.environ)
        if name.upper().startswith(PREFIX) and name.upper() not in known | {KILL_AT}
    ]


def _names(section: Any, before: str) -> Iterator[str]:
    for field, info in section.model_fields.items():
        name = f"{before}{field}".upper()
        yield name
        if hasattr(info.annotation, "model_fields"):
            yield from _names(info.annotation, f"{name}__")
