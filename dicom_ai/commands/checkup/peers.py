"""The site's tables and the destinations in them: something is routed, something goes out, and everybody answers."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from sqlalchemy import Engine

from dicom_ai.classify.routing import rows_of, traps
from dicom_ai.commands.checkup.line import Check, failed, ok, warning
from dicom_ai.deliver.address import is_ae_title
from dicom_ai.deliver.echo import echo
from dicom_ai.errors import PeerError, PeerRefused
from dicom_ai.settings import Deliver, Settings
from dicom_ai.site import Destination
from dicom_ai.store import site_rows
from dicom_ai.store.database import read

LIMIT_S = 5.0
"""A node that has not answered by then is called unreachable, whatever the settings allow a delivery, seconds."""

_AT_ONCE = 16
_APPLY = "Edit deploy/site.toml and put it into force: dicom-ai apply deploy/site.toml"


def quick(settings: Deliver) -> Deliver:
    """The settings of a call that somebody waits for."""
    limits = {
        "connect_timeout_s": min(settings.connect_timeout_s, LIMIT_S),
        "response_timeout_s": min(settings.response_timeout_s, LIMIT_S),
    }
    return settings.model_copy(update=limits)


def tables(opened: Engine) -> Iterator[Check]:
    """Whether a site file is in force, and whether it routes and sends anything."""
    with read(opened) as connection:
        version = site_rows.in_force(connection)
    if version is None:
        yield failed("site tables", "no site file is in force", _APPLY)
        return
    said = f"version {version.number} by {version.by} at {version.at:%Y-%m-%d %H:%M} UTC"
    yield ok("site tables", said)
    routes, places = rows_of(version.tables), version.tables.destinations
    if not routes:
        yield failed("routes", f"{said} has no route: nothing is analysed", f"Add a [[routes]] row. {_APPLY}")
    for trap in traps(routes):
        yield warning("routes", trap, "See `dicom-ai rules list` and order or narrow the rows of the site file.")
    if routes and not traps(routes):
        yield ok("routes", f"{len(routes)} rows")
    if not places:
        yield failed("destinations", f"{said} has no destination: nothing goes out", f"Add [[destinations]]. {_APPLY}")
    elif not any(one.results for one in places):
        yield warning("destinations", "none takes results", f"Set results = true for one. {_APPLY}")
    else:
        yield ok("destinations", ", ".join(one.name for one in places))


def destinations(opened: Engine, settings: Settings) -> Iterator[Check]:
    """Whether every destination answers a C-ECHO; all are called at the same time."""
    with read(opened) as connection:
        places = site_rows.newest(connection).destinations
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        yield from pool.map(partial(_called, settings=quick(settings.deliver)), places)


def _called(place: Destination, settings: Deliver) -> Check:
    name, where = f"destination {place.name}", f"{place.ae_title}@{place.host}:{place.port}"
    if not is_ae_title(place.ae_title):
        return failed(name, f"{place.ae_title!r} is no AE title", f"1 to 16 ASCII characters, no backslash. {_APPLY}")
    try:
        elapsed_s = echo(place, settings)
    except PeerRefused as exc:
        return warning(name, f"{where}: {exc}", "It is there; let it accept verification to be sure of more.")
    except PeerError as exc:
        remedy = (
            f"See that it runs, that {where} is right in the site file, that no firewall is between, and that it "
            f"knows us as {settings.ae_title}."
        )
        return failed(name, f"{where}: {exc.detail}", remedy)
    return ok(name, f"{where} answered in {elapsed_s * 1000:.0f} ms")
