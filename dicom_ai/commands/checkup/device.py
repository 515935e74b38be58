"""The device and the models: what the network runs on, and whether every model is its card's on it.

Loading a model as the service does is the proof: digests of weights and vectors, and the stored outputs reproduced.
"""

import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from dicom_ai.classify import catalogue
from dicom_ai.classify.catalogue import Installed, active, installed
from dicom_ai.classify.runtime import Classifier
from dicom_ai.commands.checkup.line import Check, failed, ok, warning
from dicom_ai.errors import CardMismatch, DeviceUnavailable, ModelError
from dicom_ai.settings import Settings
from dicom_ai.site import SiteTables

TASKS = ("lung-signs", "uterine-lesions")
_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")
_SAME_FILES = "Install the model folder again from where it came from; a file of it was changed or damaged."


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


def models(settings: Settings, tables: SiteTables | None) -> Iterator[Check]:
    """Every model folder, and for every task whether a model answers and may answer to whom."""
    there = []
    folders = [*catalogue.DEMO.glob("*/card.json"), *(settings.store.data / "models").glob("*/card.json")]
    for folder in sorted(path.parent for path in folders):
        check = _proven(folder, settings.classify.device)
        there += [folder] if check.status == "ok" else []
        yield check
    try:
        known = installed(settings.store.data)
    except CardMismatch:
        yield failed("tasks", "while one model folder is broken no model answers", "Mend or remove that folder.")
        return
    for task in TASKS:
        yield _task(task, settings, known, there, tables)


def _proven(folder: Path, wanted: str) -> Check:
    name = f"model {folder.name}"
    try:
        one = Classifier(folder, device=wanted if _DEVICE.fullmatch(wanted) else "cpu")
    except DeviceUnavailable as exc:
        return failed(name, exc.detail, "See the line of the device.")
    except (CardMismatch, ValueError) as exc:
        return failed(name, str(exc), _SAME_FILES)
    card = one.card
    said = f"{card.task} {card.version}, card {card.digest[:12]}, files and vectors are the card's on {one.device}"
    return ok(name, said)


def _task(
    task: str, settings: Settings, known: Sequence[Installed], there: Sequence[Path], tables: SiteTables | None
) -> Check:
    name = f"task {task}"
    if not settings.models.is_enabled(task):
        return ok(name, "switched off in the settings")
    try:
        chosen = active(task, known)
    except ModelError as exc:
        return failed(name, exc.detail, f"Install a model in {settings.store.data / 'models'}, or switch the task off.")
    said = f"{chosen.card.name} {chosen.card.version}, grade {chosen.grade}"
    if chosen.folder not in there:
        return failed(name, f"{said}, is refused", f"See the line of model {chosen.folder.name}.")
    places = [one for one in tables.destinations if one.results] if tables is not None else []
    barred = [one.name for one in places if not one.test] if chosen.grade == "demonstration" else []
    if barred:
        remedy = "Install a signed research or clinical model; mark a destination as test only if no patient is in it."
        return warning(name, f"{said}: its results are held back from {', '.join(barred)}", remedy)
    return ok(name, said)
