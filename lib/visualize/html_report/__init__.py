"""The report of a benchmark as one HTML file that needs nothing else: no network, no server, no other file.

    write_report(report, folder)                     # folder/report.html
    write_report(report, folder, {"ATOM": results})  # with thumbnails of the worst moments, where images are there

The page shows problems first, then a sortable table of trackers, the curves, the attributes, the worst moments of the
first of the ranking, and all videos, each of which opens its overlap over time. ``page.html`` is the frame,
``base.css`` (all pages') and ``page.css`` the look, ``*.js`` draw everything from the JSON that ``values`` and
``moments`` make. Names of trackers and videos are data: they are escaped in the JSON and become text nodes, and the
page's own Content-Security-Policy allows no script but the one written here.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from ...test.analysis.report import BenchmarkReport
from ...utils.files import write_text
from ..plot_style import PlotStyle, plot_styles
from .moments import worst_moments
from .values import page_values

FILE = "report.html"
_SCRIPTS = ("base", "table", "chart", "curves", "timeline", "tables", "main")  # in the order that they build on


def write_report(report: BenchmarkReport, folder: Path, folders: Mapping[str, Path] | None = None) -> Path:
    """Write ``folder/report.html``; ``folders`` (tracker -> folder of its result files) give the thumbnails' boxes."""
    values = page_values(report) | {"moments": worst_moments(report, folders or {})}
    script = "\n".join(["\"use strict\";", *(_part(f"{name}.js") for name in _SCRIPTS)])
    styles = plot_styles(report.all_scores)
    colors = _tracker_colors([styles[score.tracker] for score in report.all_scores])
    style = _part("base.css") + _part("page.css") + colors
    page = Template(_part("page.html")).substitute(
        policy=_policy(script, style), title=html.escape(report.benchmark), style=style, script=script,
        data=safe_json(values))
    path = folder / FILE
    write_text(path, page)
    return path


def safe_json(value: Any) -> str:
    """JSON in ASCII that cannot end or open a tag, whatever the strings in it hold."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _tracker_colors(styles: list[PlotStyle]) -> str:
    """CSS of the trackers' colors: on light, on dark, and as drawn into images."""
    light = "".join(f".style-{i} {{ --tracker-color: {style.color}; --drawn: {style.color}; }}\n"
                    for i, style in enumerate(styles))
    dark = "".join(f"  .style-{i} {{ --tracker-color: {style.dark_color}; }}\n" for i, style in enumerate(styles))
    return f"{light}@media screen and (prefers-color-scheme: dark) {{\n{dark}}}\n"


def _policy(script: str, style: str) -> str:
    """A content security policy: only this script, this style and embedded images; no requests."""
    return (f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:; "
            "base-uri 'none'; form-action 'none'")


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii") + "'"


def _part(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
