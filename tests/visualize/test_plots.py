"""Which images there are, that they open, and that trackers can be told apart in them."""

import dataclasses

import cv2
import pytest

from mstgt.test.analysis.score import STATIC_BOX, average
from mstgt.visualize import plots
from mstgt.visualize.plot_style import plot_styles
from mstgt.visualize.plots import SUFFIXES, draw_plots

CURVES = {"success", "precision", "norm_precision"}


def drawn(paths):
    return {path.stem for path in paths if path.suffix == ".png"}


def test_everything_there_is_data_for_is_drawn_as_png_and_pdf(make_small_report, tmp_path):
    report, _ = make_small_report([f"{'very_' * 20}long $_{{{i}" for i in range(12)], videos=2)
    paths = draw_plots(report, tmp_path)
    assert drawn(paths) == CURVES | {"attributes", "attributes_radar", "speed"}
    assert sorted(paths) == sorted(tmp_path.iterdir()) and {p.suffix for p in paths} == set(SUFFIXES)
    for path in paths:
        if path.suffix == ".pdf":
            assert path.read_bytes().startswith(b"%PDF")
        else:
            assert cv2.imread(str(path)).std() > 5


def test_plots_that_need_several_trackers_or_videos_are_left_out(make_small_report, tmp_path):
    """One tracker has no speed to compare; axes of single videos have no mean."""
    report, _ = make_small_report(["a"], videos=1)
    assert drawn(draw_plots(report, tmp_path)) == CURVES | {"attributes"}


def test_bars_of_few_groups_stay_narrow_and_show_the_baseline(make_small_report):
    report, _ = make_small_report(["a"], videos=2, attributes=("fast_motion", "blur"))
    figure = plots._drawings(report)["attributes"]()
    axes = figure.axes[0]
    assert max(bar.get_width() for bar in axes.patches) <= plots.MAX_BAR_WIDTH
    assert len(axes.containers) == 2 and STATIC_BOX in axes.get_legend_handles_labels()[1][1]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["fast_motion (2)", "blur (2)"]
    plots.plt.close(figure)


def test_images_without_data_are_left_out_and_old_ones_removed(make_small_report, tmp_path):
    report, _ = make_small_report(["a", "b"], videos=2, attributes=(), times=False)
    for name in ("speed.png", "attributes.pdf", "mine.png"):
        (tmp_path / name).write_text("old")
    assert drawn(draw_plots(report, tmp_path)) == CURVES
    assert (tmp_path / "mine.png").exists() and not (tmp_path / "speed.png").exists()
    assert not (tmp_path / "attributes.pdf").exists()
    assert draw_plots(dataclasses.replace(report, scores=()), tmp_path) == []


@pytest.mark.parametrize("count", [1, 7, 12, 20])
def test_no_two_trackers_look_the_same(make_small_report, count):
    report, _ = make_small_report(["a"], videos=1)
    videos = report.scores[0].video_scores
    scores = [average(f"t{i}", videos, 1) for i in range(count)]
    found = plot_styles([report.static_box, *scores])
    assert len({(style.color, style.dash) for style in found.values()}) == count + 1
    assert found["t0"] == plot_styles(scores)["t0"] and STATIC_BOX in found
