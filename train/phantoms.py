"""A recipe and a seed -> one training picture: drawn, cropped as the service would, at the network's input size.

Pictures go through `models.preprocess`, the code that serves. Positives carry where each sign is and the twin
without it. What this is not: augmentation (`train.augment`), or real ultrasound.
"""

import hashlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from dicom_ai.simulate import geometry, lung, lung_signs, phantom, scene, speckle, unusable, uterus
from dicom_ai.simulate.geometry import SectorKind
from dicom_ai.simulate.phantom import Phantom
from models.preprocess import letterboxed
from train.recipe import Recipe, Split

Grey = npt.NDArray[np.uint8]
SHAPES: dict[str, SectorKind] = {"lung-signs": "curvilinear", "uterine-lesions": "transvaginal"}
"""The sector of pictures that belong to no task, so that the sector alone never tells them."""

SIZES = ((560, 700), (480, 640), (694, 948))
"""(h, w) of the drawn frames, so that speckle of several sizes reaches the network."""


@dataclass(frozen=True)
class Pictures:
    """N pictures at input size S.

    Attributes:
        shown, twin: uint8 (N, S, S); the twin is the picture without its signs, equal to `shown` when it has none.
        where: uint8 (N, S, S); bit k is set where the sign of class k lies.
        labels: float32 (N, K).
        good: bool (N,), whether the network should judge the picture at all.
        kind: unicode (N,), what was drawn.
    """

    shown: Grey
    twin: Grey
    where: Grey
    labels: npt.NDArray[np.float32]
    good: npt.NDArray[np.bool_]
    kind: npt.NDArray[np.str_]

    @property
    def digest(self) -> str:
        """SHA-256 over all arrays, hex."""
        state = hashlib.sha256()
        for field in fields(self):
            state.update(np.ascontiguousarray(getattr(self, field.name)).tobytes())
        return state.hexdigest()


def pictures(recipe: Recipe, split: Split, *, cache: Path | None = None, workers: int = 1) -> Pictures:
    """Draw a split, or read it from the cache if this recipe's split was drawn before.

    Args:
        recipe: what to draw and how to show it.
        split: which seeds.
        cache: folder for drawn splits; None draws anew.
        workers: processes that draw.
    """
    file = None if cache is None else cache / f"{recipe.name}-{_key(recipe, split)}.npz"
    if file is not None and file.is_file():
        with np.load(file) as stored:
            return Pictures(**{field.name: stored[field.name] for field in fields(Pictures)})
    seeds = range(split.first_seed, split.first_seed + split.count)
    if workers > 1:
        # spawned: a fork that happens while another thread holds a lock of OpenCV or OpenMP would wait for ever
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            drawn = list(pool.map(partial(one, recipe), seeds, chunksize=32))
    else:
        drawn = [one(recipe, seed) for seed in seeds]
    found = Pictures(*(np.stack(column) for column in zip(*drawn, strict=True)))
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, **{field.name: getattr(found, field.name) for field in fields(found)})
    return found


def one(recipe: Recipe, seed: int) -> tuple[Grey, Grey, Grey, npt.NDArray[np.float32], bool, str]:
    """One picture as the fields of `Pictures`, without their first axis."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng((seed, 7))
    kinds = {**{f"good:{k}": w for k, w in recipe.phantoms.good.items()}, **recipe.phantoms.bad}
    weights = np.array(list(kinds.values()))
    kind = str(rng.choice(list(kinds), p=weights / weights.sum()))
    size = SIZES[int(rng.integers(len(SIZES)))]
    drawn = draw(recipe.task, kind, seed, size=size, shape=SHAPES[recipe.task])
    labels = np.array([class_id in drawn.labels for class_id in recipe.class_ids], np.float32)
    good = kind.startswith("good:")
    shown, twin, where = _cropped(drawn, recipe, int(rng.integers(recipe.phantoms.erode_px + 1)))
    return shown, twin, where, labels if good else 0 * labels, good, kind


def draw(task: str, kind: str, seed: int, *, size: tuple[int, int], shape: SectorKind) -> Phantom:
    """A phantom of one kind of picture.

    Args:
        task: of the recipe.
        kind: "good:LABELS" (joined by "+") or a kind of picture to be turned away.
        seed: of the phantom.
        size: (h, w) of the frame.
        shape: sector of pictures that belong to no task.
    """
    if kind.startswith("good:"):
        return _good(task, kind.removeprefix("good:"), seed, size)
    if kind == "other_task":
        other = "uterine-lesions" if task == "lung-signs" else "lung-signs"
        names = [*phantom.UTERINE_LABELS] if other == "uterine-lesions" else ["", *phantom.LUNG_SIGNS]
        return _good(other, names[seed % len(names)], seed, size)
    if kind in ("texture", "black"):
        frame = phantom.noise(seed, size=size, shape=shape)
        level = _texture(seed, size) if kind == "texture" else np.zeros(size, np.uint8)
        level = level * frame.sector_mask
        return Phantom(level[None], frame.sector_mask, frame.sector, {}, frozenset(), kind)
    return {"wrong_organ": phantom.wrong_organ, "air": phantom.air, "noise": phantom.noise}[kind](
        seed, size=size, shape=shape
    )


def _good(task: str, labels: str, seed: int, size: tuple[int, int]) -> Phantom:
    if task == "lung-signs":
        return phantom.lung(seed, labels=[label for label in labels.split("+") if label], size=size)
    return phantom.uterus(seed, label=labels, size=size)


def _texture(seed: int, size: tuple[int, int]) -> Grey:
    # clouds of one or two random grains: neither speckle nor anatomy
    rng = np.random.default_rng((seed, 11))
    plane = np.zeros(size, np.float32)
    for _ in range(int(rng.integers(1, 4))):
        coarse = rng.normal(size=(int(rng.integers(2, 120)), int(rng.integers(2, 120)))).astype(np.float32)
        plane += rng.uniform(0.3, 1) * cv2.resize(coarse, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(rng.uniform(20, 150) + rng.uniform(15, 70) * plane, 0, 255), np.uint8)


def _cropped(drawn: Phantom, recipe: Recipe, erode_px: int) -> tuple[Grey, Grey, Grey]:
    kernel = np.ones((2 * erode_px + 1,) * 2, np.uint8)
    keep = cv2.erode(drawn.sector_mask.astype(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    ys, xs = np.flatnonzero(keep.any(axis=1)), np.flatnonzero(keep.any(axis=0))
    box = np.s_[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1]
    twin = drawn.frames if drawn.twin is None else drawn.twin
    frames = np.asarray(np.stack([drawn.frames[0], twin[0]]) * keep, np.uint8)
    shown, without = letterboxed(frames[:, *box, None], recipe.input, recipe.crop.fill)
    where = np.zeros_like(shown)
    for bit, class_id in enumerate(recipe.class_ids):
        if class_id in drawn.signs:
            mask = (drawn.signs[class_id] & (keep > 0)).astype(np.uint8) * np.uint8(255)
            plain = recipe.input.model_copy(update={"grey_table": None})
            where |= (letterboxed(mask[None, *box, None], plain, 0)[0] > 0).astype(np.uint8) << bit
    return shown, without, where


def _key(recipe: Recipe, split: Split) -> str:
    text = recipe.phantoms.model_dump_json(include={"good", "bad", "erode_px"})
    text += recipe.input.model_dump_json() + split.model_dump_json() + "".join(recipe.class_ids)
    # the code that draws is part of what is drawn; a cache that outlived a change of it would teach the old pictures
    for module in (geometry, lung, lung_signs, phantom, scene, speckle, unusable, uterus):
        text += Path(str(module.__file__)).read_text(encoding="utf-8")
    return hashlib.sha256(text.encode()).hexdigest()[:16]
