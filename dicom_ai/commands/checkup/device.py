"""The device and the models: what the network runs on, and whether every model is its card's on it.

Loading a model as the service does is the proof: digests of weights and vectors, and the stored outputs reproduced.
"""

import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from dicom_ai.classify.catalogue import folders, read_installed
from dicom_ai.classify.runtime import Classifier
from dicom_ai.classify.shelf import Named, Shelf, shelf
from dicom_ai.classify.trust import Keys, trusted, unreadable_keys
from dicom_ai.commands.checkup.line import Check, failed, ok, warning
from dicom_ai.errors import CardMismatch, DeviceUnavailable, ModelError, UntrustedModel
from dicom_ai.settings import Settings
from dicom_ai.site import SiteTables

TASKS = ("lung-signs", "uterine-lesions")
_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")
_SAME_FILES = "Install the model folder again from where it came from; a file of it was changed or damaged."
_SIGN = (
    "Install the folder that `python -m train promote` wrote, and trust its key with `dicom-ai models trust KEY.pub`."
)
_INSTALL = (
    "See `dicom-ai models list`; put a model folder into the data folder's models and activate it, "
    "or switch the task off."
)


def device(settings: Settings) -> Iterator[Check]:
    """What the network runs on, and in words why not on a GPU."""
    wanted = settings.classify.device
    if _DEVICE.fullmatch(wanted) is None:
        yield failed("device", f"{wanted!r} is no device", "Set classify.device to auto, cpu, cuda or cuda:N.")
        return
    if wanted == "cpu":
        yield ok("device", "cpu, as set")
        return
    reason = why_no_cuda()
    if reason is None:
        yield _gpu(wanted)
    elif wanted != "auto":
        yield failed(
            "device", f"{wanted} cannot be used: {reason}", "Mend that, or set classify.device to auto or cpu."
        )
    elif _is_gpu_there():
        remedy = "Mend that; until then the CPU does the work, correctly and slower."
        yield warning("device", f"cpu, although there is a GPU: {reason}", remedy)
    else:
        yield ok("device", f"cpu ({reason})")


def _gpu(wanted: str) -> Check:
    number, count = int(wanted.partition(":")[2] or 0), torch.cuda.device_count()
    if number >= count:
        return failed(
            "device", f"{wanted} is not there, there are {count}", "Set classify.device to one that is there."
        )
    facts = torch.cuda.get_device_properties(number)
    return ok("device", f"cuda:{number}, {facts.name}, {facts.total_memory / 2**30:.0f} GiB")


def why_no_cuda() -> str | None:
    """Why torch sees no GPU, in words; None when it sees one."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if torch.cuda.is_available():
            return None
        if torch.version.cuda is None:
            return "this build of torch has no CUDA"
        if not _is_gpu_there():
            return "no NVIDIA driver or device on this machine"
        try:
            torch.cuda.init()  # type: ignore[no-untyped-call]
        except RuntimeError as exc:
            return str(exc).splitlines()[0]
    return str(caught[-1].message).splitlines()[0] if caught else "the driver shows no device to this process"


def _is_gpu_there() -> bool:
    return Path("/proc/driver/nvidia/version").exists() or any(Path("/dev").glob("nvidia[0-9]*"))


def models(settings: Settings, tables: SiteTables | None, named: Sequence[Named] = ()) -> Iterator[Check]:
    """Every model folder, and for every task whether a model answers and may answer to whom.

    Args:
        settings: of the service.
        tables: of the site, None when they cannot be read.
        named: rows of the registry; none where there is no ledger yet.
    """
    for path in unreadable_keys(settings.store.data):
        remedy = "Remove the file; if models that it vouched for are needed, trust the key again from its owner's file."
        yield failed("trust", f"{path} is no readable public key, and vouches for nothing", remedy)
    keys = trusted(settings.store.data)
    there = []
    for folder in folders(settings.store.data):
        check = _proven(folder, keys, settings.classify.device)
        there += [folder] if check.status == "ok" else []
        yield check
    on_shelf = shelf(named, settings.store.data)
    for task in TASKS:
        yield _task(task, settings, on_shelf, there, tables)


def _proven(folder: Path, keys: Keys, wanted: str) -> Check:
    name = f"model {folder.name}"
    try:
        known = read_installed(folder, keys).require_trust()
        one = Classifier(folder, card=known.card, device=wanted if _DEVICE.fullmatch(wanted) else "cpu")
    except DeviceUnavailable as exc:
        return failed(name, exc.detail, "See the line of the device.")
    except UntrustedModel as exc:
        return failed(name, exc.detail, _SIGN)
    except (CardMismatch, ValueError) as exc:
        return failed(name, str(exc), _SAME_FILES)
    by = f", signed by {known.vouched.who}" if known.is_signed and known.vouched is not None else ""
    said = f"{known.card.task} {known.card.version}, card {known.card.digest[:12]}{by}"
    return ok(name, f"{said}, files and vectors are the card's on {one.device}")


def _task(task: str, settings: Settings, on_shelf: Shelf, there: Sequence[Path], tables: SiteTables | None) -> Check:
    name = f"task {task}"
    if not settings.models.is_enabled(task):
        return ok(name, "switched off in the settings")
    try:
        chosen = on_shelf.answers(task)
    except ModelError as exc:
        return failed(name, exc.detail, _INSTALL)
    said = f"{chosen.card.name} {chosen.card.version}, grade {chosen.grade}"
    if chosen.folder not in there:
        return failed(name, f"{said}, is refused", f"See the line of model {chosen.folder.name}.")
    places = [one for one in tables.destinations if one.results] if tables is not None else []
    barred = [one.name for one in places if not one.test] if chosen.grade == "demonstration" else []
    if barred:
        remedy = "Install a signed research or clinical model; mark a destination as test only if no patient is in it."
        return warning(name, f"{said}: its results are held back from {', '.join(barred)}", remedy)
    return ok(name, said)
