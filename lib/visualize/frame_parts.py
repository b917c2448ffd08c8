"""Plot where the time of a frame goes (:mod:`mstgt.profiling.frame_parts`).

    draw_parts(profile.parts, "MSTGT-nano, fp32", Path("frame.png"))
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..profiling.frame_parts import NETWORK, Part
from ..utils.files import atomic_path

GRAY = "#999999"  # what is not the network
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")  # of the parts of the network


def draw_parts(parts: list[Part], title: str, path: Path) -> None:
    """Draw the parts of a frame as one stacked bar; the suffix of ``path`` chooses PNG, PDF or SVG."""
    figure = Figure(figsize=(10, 2.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    total, start = sum(part.seconds for part in parts), 0.0
    for part in parts:
        color = COLORS[NETWORK.index(part.name)] if part.name in NETWORK else GRAY
        share = part.seconds / total
        axes.barh(0, part.seconds * 1e3, left=start, color=color, edgecolor="white",
                  label=f"{part.name}  {part.seconds * 1e3:.2f} ms, {100 * share:.1f} %")
        if share > 0.06:
            axes.text(start + part.seconds * 500, 0, part.name, ha="center", va="center", color="white")
        start += part.seconds * 1e3
    axes.set(xlim=(0, start), yticks=[], xlabel="ms", title=title)
    axes.spines[["left", "right", "top"]].set_visible(False)
    figure.legend(ncols=4, loc="outside lower center", frameon=False, fontsize=8)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)
