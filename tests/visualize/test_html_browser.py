"""The page in headless Chromium: sorting, filtering, tabs, switching trackers, reading values; and no harm by names."""

import dataclasses
import shutil

import pytest

from mstgt.visualize.html_report import write_report

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report_file(make_small_report, tmp_path_factory):
    report, folders = make_small_report()
    # Hostile names cannot be file names, so the one video that is lost gets its boxes under its own.
    for folder in folders.values():
        (folder / "video 1.txt").write_bytes((folder / "1.txt").read_bytes())
    return write_report(report, tmp_path_factory.mktemp("page"), folders), report


@pytest.fixture
def page(browser, report_file):
    """The open page; at the end there must have been no message, no error, no request and no harm."""
    page = browser.new_page(viewport={"width": 1000, "height": 800})
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report_file[0].as_uri())
    page.locator(".chart > svg").wait_for()  # charts are drawn when their place has a size
    yield page
    assert said == [] and [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert page.evaluate("window.harmed") is None
    assert page.locator("script").count() == 2
    page.close()


def section(page, title):
    return page.locator("section", has=page.get_by_role("heading", name=title, exact=True))


def column(place, index):
    return place.locator(f"tbody > tr:not(.detail) > :nth-child({index + 1})").all_inner_texts()


def test_problems_come_first_and_names_are_text(page, report_file):
    report = report_file[1]
    assert page.locator("main > section").first.locator("h2").inner_text() == "Problems"
    assert [text.split()[-1] for text in section(page, "Problems").locator("li").all_inner_texts()] == ["a.txt", "box"]
    names = page.evaluate("TRACKERS.map((tracker) => tracker.name)")
    assert names == [score.tracker for score in report.all_scores]
    assert names[1] in section(page, "Trackers").locator("tbody th").all_text_contents()


def test_a_header_sorts_by_number_and_says_so(page):
    table = section(page, "Trackers")
    auc = table.get_by_role("columnheader", name="AUC", exact=True)
    assert auc.get_attribute("aria-sort") == "descending"
    down = [float(text) for text in column(table, 1)]
    assert down == sorted(down, reverse=True) and len(set(down)) == 4
    auc.get_by_role("button").click()
    assert auc.get_attribute("aria-sort") == "ascending" and [float(t) for t in column(table, 1)] == sorted(down)
    fps = table.get_by_role("columnheader", name="FPS")
    fps.get_by_role("button").press("Enter")
    assert fps.get_attribute("aria-sort") == "descending" and auc.get_attribute("aria-sort") == "none"
    assert column(table, 9) == ["100.0", "50.0", "33.3", "–"]  # 33.3 below 100.0: no sorting of words
    fps.get_by_role("button").click()
    assert column(table, 9) == ["33.3", "50.0", "100.0", "–"]  # what is missing stays last


def test_tabs_change_the_curves(page):
    titles = ["Success", "Precision", "Normalized precision"]
    chart = section(page, "Curves").locator(".chart > svg")
    shapes = []
    page.get_by_role("tab", name=titles[0], exact=True).focus()
    for i, title in enumerate(titles):
        if i:
            page.keyboard.press("ArrowRight")
        tab = page.get_by_role("tab", name=title, exact=True)
        assert tab.get_attribute("aria-selected") == "true" and tab.evaluate("e => e === document.activeElement")
        chart.locator("> path.line").first.wait_for()
        assert title in chart.get_attribute("aria-label")
        shapes.append(chart.locator("path[data-tracker='2']").get_attribute("d"))
    assert len(set(shapes)) == 3
    page.get_by_role("tab", name="Success", exact=True).click()
    assert chart.locator("path[data-tracker='2']").get_attribute("d") == shapes[0]


def test_the_legend_switches_a_tracker_off_everywhere(page):
    legend = section(page, "Curves").locator(".legend button", has_text="gamma")
    line = page.locator("section .chart path[data-tracker='2']")
    assert line.count() == 1 and legend.get_attribute("aria-pressed") == "true"
    legend.click()
    assert line.count() == 0 and legend.get_attribute("aria-pressed") == "false"
    page.get_by_role("tab", name="Precision", exact=True).click()
    playwright.expect(section(page, "Curves").locator(".chart > svg > path.line")).to_have_count(3)
    section(page, "Curves").locator(".legend button", has_text="gamma").press("Space")
    playwright.expect(line).to_have_count(1)


def test_values_are_read_by_pointer_and_by_keys(page, report_file):
    scores = sorted(report_file[1].all_scores, key=lambda s: -s.success[10])
    chart = section(page, "Curves").locator(".chart > svg")
    readout = section(page, "Curves").locator(".readout")
    assert not readout.is_visible()
    box = chart.bounding_box()
    chart.hover(position={"x": 46 + (box["width"] - 58) / 2, "y": 50})
    assert readout.locator("strong").inner_text() == "overlap above 0.5"
    assert readout.locator("b").all_inner_texts() == [f"{100 * s.success[10]:.1f} %" for s in scores]
    page.mouse.move(0, 0)
    assert not readout.is_visible()
    chart.focus()
    page.keyboard.press("End")
    assert readout.locator("strong").inner_text() == "overlap above 1"
    page.keyboard.press("ArrowLeft")
    assert readout.locator("strong").inner_text() == "overlap above 0.95"


def test_videos_are_filtered_and_open_their_overlap(page, report_file):
    videos = section(page, "Videos")
    assert len(column(videos, 0)) == 3
    videos.get_by_role("searchbox").fill("VIDEO 1")
    assert column(videos, 0) == ["video 1"] and videos.locator("output").inner_text() == "1 of 3 videos"
    opener = videos.locator(".opener")
    opener.press("Enter")
    assert opener.get_attribute("aria-expanded") == "true"
    chart = videos.locator(".timeline .chart > svg")
    chart.wait_for()
    assert chart.locator("rect.gap").count() == 1  # frames 20 to 24
    assert chart.locator("> path.line").count() == 4
    chart.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    overlap = report_file[1].scores[0].video_scores[1].frame_overlap[1]
    row = videos.locator(".readout div", has_text="alpha")
    assert float(row.locator("b").inner_text()) == pytest.approx(overlap, abs=0.01)
    videos.locator("select").select_option("precision")
    assert column(videos, 2)[0] == f"{report_file[1].scores[0].video_scores[1].precision:.1f}"
    assert videos.locator(".timeline").count() == 1  # stays open
    videos.locator(".opener").click()
    assert videos.locator(".timeline").count() == 0


def test_moments_have_their_images(page):
    images = section(page, "Worst moments").locator("img")
    assert images.count() == 3
    assert images.evaluate_all("all => all.every((image) => image.complete && image.naturalWidth > 100)")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_narrow_screen_in_both_schemes(browser, report_file, scheme):
    page = browser.new_page(viewport={"width": 380, "height": 700}, color_scheme=scheme)
    page.goto(report_file[0].as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") == 380
    ink = page.evaluate("getComputedStyle(document.body).color").strip("rgb()").split(",")
    assert (int(ink[0]) > 128) == (scheme == "dark")
    page.close()


def test_a_report_without_scores_still_opens(browser, report_file, tmp_path):
    page = browser.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(write_report(dataclasses.replace(report_file[1], scores=(), static_box=None), tmp_path).as_uri())
    assert page.locator("h2").all_inner_texts() == ["Problems", "Notes"] and errors == []
    page.close()
