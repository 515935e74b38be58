"""Plots as SVG inside the page. What this is not: figures; what is drawn here was counted elsewhere."""

import base64
import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from train.evaluate import figures
from train.evaluate.figures import Floats
from train.evaluate.gallery import Seen
from train.evaluate.projection import Projection
from train.evaluate.resample import Chance, resampled
from train.evaluate.units import Units
from train.evaluate.words import Language, word

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999")
"""Told apart by colour-blind people too; Okabe and Ito."""
GRID = np.linspace(0, 1, 101)


def curves(units: Units, names: Sequence[str], chance: Chance, language: Language) -> str:
    """ROC and precision-recall of every named class with bands: pointwise intervals over the patients drawn."""
    figure, axes = _figure(1, 2, (9.5, 4.3))
    for colour, name in zip(_colours(len(names)), names, strict=True):
        k = units.class_ids.index(name)
        truth, score = units.truth[:, k], units.probability[:, k]
        plain = _on_grid(figures.steps(score, truth, np.ones((1, len(units)))))
        drawn = resampled(_bands(score, truth), units.patient, chance)
        for axis, curve in zip(axes, ("roc", "pr"), strict=True):
            samples = np.stack([drawn[f"{curve}{at}"] for at in range(len(GRID))], axis=1)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # a column that no resample fills stays NaN
                low, high = np.nanquantile(samples, [(1 - chance.level) / 2, (1 + chance.level) / 2], axis=0)
            axis.fill_between(GRID, low, high, color=colour, alpha=0.15, linewidth=0)
            axis.plot(GRID, plain[curve][0], color=colour, label=name, linewidth=1.6)
        asked = ~np.isnan(truth)
        axes[1].axhline(float((truth[asked] == 1).mean()), color=colour, linewidth=0.7, linestyle=":")
    axes[0].plot([0, 1], [0, 1], color="#999999", linewidth=0.7, linestyle=":")
    for axis, x, y in ((axes[0], "one_minus", "recall"), (axes[1], "recall", "precision")):
        _square(axis, word(x, language), word(y, language))
    axes[0].legend(loc="lower right", frameon=False)
    return as_uri(figure)


def _bands(score: Floats, truth: Floats) -> Callable[[Floats], dict[str, Floats]]:
    def statistic(weights: Floats) -> dict[str, Floats]:
        found = _on_grid(figures.steps(score, truth, weights))
        return {f"{curve}{at}": values[:, at] for curve, values in found.items() for at in range(len(GRID))}

    return statistic


def _on_grid(found: figures.Steps) -> dict[str, Floats]:
    """Recall over 1 - specificity, and precision over recall, at the places of GRID; (b, 101) each.

    A step of the ROC curve is read at its upper end. Precision is that of the first threshold that reaches the recall.
    """
    across, up = figures.roc(found)
    reached, right = figures.precision_recall(found)
    rows = range(len(across))
    roc = [np.interp(GRID, across[row] + np.arange(across.shape[1]) * 1e-12, up[row]) for row in rows]
    at = [np.minimum(np.searchsorted(reached[row], GRID - 1e-12), reached.shape[1] - 1) for row in rows]
    return {"roc": np.array(roc), "pr": np.array([right[row][places] for row, places in enumerate(at)])}


def reliability(classes: Mapping[str, Mapping[str, Mapping[str, Any]]], language: Language) -> str:
    """Share present over mean probability; one panel per temperature ("before", "after", "card")."""
    figure, axes = _figure(1, len(classes), (4.6 * len(classes), 4.3))
    for axis, (when, curves_of) in zip(axes, classes.items(), strict=True):
        axis.plot([0, 1], [0, 1], color="#999999", linewidth=0.7, linestyle=":")
        for colour, (name, curve) in zip(_colours(len(curves_of)), curves_of.items(), strict=True):
            said, so = (np.array(curve[part], float) for part in ("said", "so"))
            there = ~np.isnan(said)
            size = 12 + 120 * np.array(curve["weight"])[there] / max(1.0, sum(curve["weight"]))
            axis.plot(said[there], so[there], color=colour, linewidth=1.2, label=name)
            axis.scatter(said[there], so[there], color=colour, s=size)
        _square(axis, word("said", language), word("so", language))
        axis.set_title(word(when, language))
    axes[0].legend(loc="upper left", frameon=False)
    return as_uri(figure)


def confusion(matrix: Sequence[Sequence[int]], names: Sequence[str], language: Language) -> str:
    """Counts, shaded by share of the row; the last column only where something was called nothing."""
    counts = np.array(matrix)
    columns = [*names, word("none_called", language)]
    if not counts[:, -1].any():
        counts, columns = counts[:, :-1], columns[:-1]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, axes = _figure(1, 1, (1.6 + 1.05 * len(columns), 1.3 + 0.62 * len(names)))
    axes[0].imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes[0].text(column, row, str(count), ha="center", va="center", color=colour)
    axes[0].set_xticks(range(len(columns)), columns, rotation=20, ha="right")
    axes[0].set_yticks(range(len(names)), names)
    axes[0].set_ylabel(word("truth", language))
    return as_uri(figure)


def scatter(made: Projection, class_ids: Sequence[str], language: Language) -> str:
    """Features coloured by class."""
    figure, axes = _figure(1, 1, (6.4, 5.2))
    names = [*class_ids, *(name for name in ("several", "none") if name in made.names)]
    for colour, name in zip(_colours(len(names)), names, strict=True):
        there = np.array([one == name for one in made.names])
        if there.any():
            x, y = made.places[there].T
            axes[0].scatter(x, y, s=9, color=colour, label=f"{word(name, language)} ({there.sum()})")
    axes[0].set_xticks([])
    axes[0].set_yticks([])
    axes[0].legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    return as_uri(figure)


def learning(series: Mapping[str, Sequence[tuple[float, float]]], language: Language) -> str:
    """One panel for losses and one for the rest, over epochs."""
    panels = [[name for name in series if is_loss == ("loss" in name)] for is_loss in (True, False)]
    panels = [names for names in panels if names]
    figure, axes = _figure(1, len(panels), (4.8 * len(panels), 3.6))
    for axis, names in zip(axes, panels, strict=True):
        for colour, name in zip(_colours(len(names)), names, strict=True):
            axis.plot(*zip(*series[name], strict=True), color=colour, label=name, linewidth=1.4)
        axis.set_xlabel(word("epoch", language))
        axis.legend(frameon=False)
    return as_uri(figure)


def overlaid(seen: Seen, edge: int = 192) -> str:
    """A picture, and the same under its heat, side by side, as PNG."""
    scale = edge / max(seen.picture.shape)
    size = (max(1, round(seen.picture.shape[1] * scale)), max(1, round(seen.picture.shape[0] * scale)))
    picture = cv2.cvtColor(cv2.resize(seen.picture, size, interpolation=cv2.INTER_AREA), cv2.COLOR_GRAY2BGR)
    heat = cv2.resize(seen.heat, size, interpolation=cv2.INTER_LINEAR)
    share = 0.55 * (heat / 255.0)[..., None]
    shown = np.rint(picture * (1 - share) + cv2.applyColorMap(heat, cv2.COLORMAP_INFERNO) * share)
    _, png = cv2.imencode(".png", np.hstack([picture, shown.astype(np.uint8)]))
    return "data:image/png;base64," + base64.b64encode(png.tobytes()).decode()


def as_uri(figure: Figure) -> str:
    """A figure as a data URI: nothing outside the page is asked for, and two pictures share no identifiers."""
    content = io.BytesIO()
    # text stays text, which the reader's fonts draw; the same figures give the same bytes
    with warnings.catch_warnings(), rc_context({"svg.fonttype": "none", "svg.hashsalt": "evaluate"}):
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(content, format="svg", metadata={"Date": None}, bbox_inches="tight")
    return "data:image/svg+xml;base64," + base64.b64encode(content.getvalue()).decode()


def _figure(rows: int, columns: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=size)  # of no backend: no window, no state
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, list(axes.flat)


def _square(axis: Axes, x: str, y: str) -> None:
    axis.set(xlim=(0, 1), ylim=(0, 1.02), xlabel=x, ylabel=y, aspect="equal")


def _colours(n: int) -> list[str]:
    return [COLOURS[number % len(COLOURS)] for number in range(n)]
