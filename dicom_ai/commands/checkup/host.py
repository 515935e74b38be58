"""The machine: port, AE titles, data folder, file system, free space, libraries, validators."""

import errno
import os
import shutil
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from dicom_ai import preflight
from dicom_ai.commands.checkup import running
from dicom_ai.commands.checkup.line import Check, failed, ok, warning
from dicom_ai.commands.checkup.peers import LIMIT_S, quick
from dicom_ai.commands.desk import START_FIRST, ledger_file
from dicom_ai.commands.validate import TOOLS, is_installed
from dicom_ai.deliver.address import Address, is_ae_title
from dicom_ai.deliver.echo import echo
from dicom_ai.errors import PeerError, SettingsError
from dicom_ai.settings import Settings
from dicom_ai.store.site_id import site_id

MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = ("nfs", "cifs", "smb", "afs", "ceph", "gluster", "lustre", "beegfs", "9p", "virtiofs", "gpfs", "sshfs")
_PASSING = ("tmpfs", "ramfs")
_MIB = 1 << 20


def service(settings: Settings) -> Iterator[Check]:
    """Whether our service runs on this data folder."""
    supervisor = running.holder(settings.store.data)
    if supervisor is None:
        yield warning("service", "not running on this data folder", "Start it: dicom-ai serve")
        return
    roles = ", ".join(running.roles_of(supervisor)) or "no role yet"
    yield ok("service", f"running as process {supervisor} ({roles})")


def port(settings: Settings) -> Iterator[Check]:
    """Whether the DICOM port is free or held by our own service."""
    receive = settings.receive
    where = f"{receive.host}:{receive.port}"
    other = "Choose another receive.port in dicom_ai.toml, or stop what holds it."
    if receive.port == 0:
        yield ok("port", "0: the service takes a free one")
        return
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(receive.host, receive.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
        yield ok("port", f"{where} is free")
    except socket.gaierror:
        yield failed("port", f"{receive.host} is no address of a machine", "Set receive.host to 127.0.0.1 or 0.0.0.0.")
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:
            yield _held(settings, where, other)
        elif exc.errno == errno.EACCES:
            remedy = "Use a port above 1023 and redirect, or give the service CAP_NET_BIND_SERVICE."
            yield failed("port", f"{where} is not allowed for this user", remedy)
        else:
            remedy = "Set receive.host to an address of this machine, or 0.0.0.0 for all."
            yield failed("port", f"{where} cannot be used ({errno.errorcode.get(exc.errno or 0)})", remedy)


def _held(settings: Settings, where: str, remedy: str) -> Check:
    supervisor, found = running.holder(settings.store.data), running.listeners(settings.receive.port)
    if supervisor is None or not any(running.belongs_to(pid, supervisor) for pid in found):
        who = ", ".join(f"process {pid} ({running.name_of(pid)})" for pid in sorted(found))
        return failed("port", f"{where} is held by {who or 'a process this user cannot see'}, not by us", remedy)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.receive.host, settings.receive.host)  # noqa: S104
    node = Address(settings.receive.ae_title, host, settings.receive.port)
    try:
        elapsed_s = echo(node, quick(settings.deliver))
    except PeerError as exc:
        if "reject" not in str(exc):  # who rejects us is alive: known_peers_only, and we are no scanner
            again = "Stop the service and start it again; its log says what it was doing."
            return failed("port", f"{where} is held by our service, which does not answer in {LIMIT_S:g} s", again)
        return ok("port", f"{where} is held by our running service, which knows its callers")
    return ok("port", f"{where} is held by our running service, which answers in {elapsed_s * 1000:.0f} ms")


def ae_titles(settings: Settings) -> Iterator[Check]:
    """Whether our AE titles are ones (PS3.5 6.2)."""
    titles = {"receive.ae_title": settings.receive.ae_title, "deliver.ae_title": settings.deliver.ae_title}
    wrong = [f"{name} = {value!r}" for name, value in titles.items() if not is_ae_title(value)]
    if wrong:
        remedy = "An AE title has 1 to 16 ASCII characters, no backslash and not only spaces; correct dicom_ai.toml."
        yield failed("ae titles", ", ".join(wrong), remedy)
        return
    yield ok("ae titles", ", ".join(f"{name} = {value}" for name, value in titles.items()))


def data_folder(settings: Settings) -> Iterator[Check]:
    """Whether the data folder is there, ours, writable and private."""
    data = settings.store.data
    if not data.exists():
        yield failed(
            "data folder", f"{data.absolute()} is not there yet", f"{START_FIRST[0].upper()}{START_FIRST[1:]}."
        )
        return
    if not data.is_dir():
        yield failed("data folder", f"{data.absolute()} is no folder", "Set store.data to a folder of its own.")
        return
    probe = data / f".doctor-{os.getpid()}"
    try:
        probe.touch(mode=0o600)
        probe.unlink()
    except OSError as exc:
        remedy = f"Run as the user of the service, or give the folder to it: chown -R USER {data.absolute()}"
        yield failed("data folder", f"{data.absolute()} cannot be written ({exc.strerror})", remedy)
        return
    yield _private(data, ledger_file(settings))
    if (data / "site.json").exists():
        yield _known(data)


def _private(data: Path, ledger: Path | None) -> Check:
    for path, mode in ((data, "700"), (ledger, "600")):
        if path is not None and path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            remedy = f"It holds patients' data: chmod {mode} {path.absolute()}"
            return failed("data folder", f"{path.absolute()} is open to other users of this machine", remedy)
    return ok("data folder", f"{data.absolute()} is writable and private")


def _known(data: Path) -> Check:
    try:
        return ok("installation", f"store id {site_id(data).store_id}")
    except SettingsError as exc:
        return failed("installation", exc.detail, "Restore site.json from a backup; without it results get other UIDs.")


def file_system(settings: Settings, mounts: Path = MOUNTS) -> Iterator[Check]:
    """Whether a SQLite ledger lies on a file system that locks and syncs as it must."""
    path = ledger_file(settings)
    if path is None:
        yield ok("file system", "the ledger is on a database server")
        return
    kind, point = _mount_of(path.parent, mounts)
    if any(name in kind for name in _NETWORK):
        remedy = "SQLite needs a local disk: set store.data to one, or store.database_url to PostgreSQL."
        yield failed("file system", f"{point} is {kind}, a network file system", remedy)
    elif kind in _PASSING:
        remedy = "Set store.data to a disk: what lies here is lost with the power."
        yield warning("file system", f"{point} is {kind}, in memory", remedy)
    else:
        yield ok("file system", f"{point} is {kind or 'unknown'}")


def space(settings: Settings) -> Iterator[Check]:
    """Whether there is more free space than the watermark under which objects are refused."""
    place = next(
        path for path in (settings.store.data.absolute(), *settings.store.data.absolute().parents) if path.exists()
    )
    free, least = shutil.disk_usage(place).free // _MIB, settings.store.min_free_mib
    if free <= least:
        remedy = "Free space or enlarge the disk; or lower store.min_free_mib if so much is never needed."
        yield failed("free space", f"{free} MiB free, objects are refused below {least} MiB", remedy)
        return
    yield ok("free space", f"{free} MiB free, objects are refused below {least} MiB")


def libraries() -> Iterator[Check]:
    """Whether the system libraries OpenCV links to are there."""
    missing = preflight.missing_libraries()
    if missing:
        packages = " ".join(sorted({preflight.LIBRARIES[name] for name in missing}))
        yield failed("libraries", f"{', '.join(missing)} not found", f"On Debian or Ubuntu: apt-get install {packages}")
        return
    yield ok("libraries", ", ".join(preflight.LIBRARIES))


def validators() -> Iterator[Check]:
    """Whether the tools of `dicom-ai validate` are there; the service runs without them."""
    missing = {name: package for name, package in TOOLS.items() if not is_installed(name)}
    if missing:
        remedy = f"Only for `dicom-ai validate`: apt-get install {' '.join(sorted(set(missing.values())))}"
        yield warning("validators", f"{', '.join(missing)} not installed", remedy)
        return
    yield ok("validators", ", ".join(TOOLS))


def _mount_of(path: Path, mounts: Path) -> tuple[str, str]:
    """File system type and mount point of a path that may not be there yet."""
    wanted, best = path.absolute().resolve(), ("", Path("/"))
    for line in mounts.read_text(encoding="utf-8").splitlines():
        before, _, after = line.partition(" - ")
        point = Path(before.split()[4].encode().decode("unicode_escape"))  # a space in it is written \\040
        if wanted.is_relative_to(point) and len(point.parts) >= len(best[1].parts):
            best = after.split()[0], point
    return best[0], str(best[1])
