"""The page in headless Chromium: from a file to the downloads by mouse, by keyboard; and what it says."""

import csv
import re
import shutil

import av
import numpy as np
import pytest

from mstgt.apps.web_demo.app import Settings
from mstgt.apps.web_demo.videos import Limits
from tests.apps.web_demo.helpers import HEIGHT, WIDTH, RedTracker, make_video, serving, true_box
from tests.apps.web_demo.test_jobs import Gate
from tests.processes import until

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


@pytest.fixture
def gate(monkeypatch):
    """Lets frames through one by one."""
    gate = Gate()
    monkeypatch.setattr(RedTracker, "gate", lambda tracker: gate(), raising=False)
    yield gate
    gate.open()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One job at a time; videos of up to 20 frames and 100 000 bytes."""
    settings = Settings("Red", "cpu", 0, 1, Limits(100_000, 20))
    with serving(tmp_path_factory.mktemp("served"), settings=settings) as server:
        yield server


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=120_000)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, server):
    """A maker of pages; at the end none may have complained, nor asked anybody else."""
    pages, said = [], []

    def make(**options):
        page = browser.new_page(viewport={"width": 1000, "height": 800}, **options)
        page.set_default_timeout(90_000)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: None if request.url.startswith(server.url) else said.append(request.url))
        page.goto(server.url)
        pages.append(page)
        return page

    yield make
    for page in pages:
        page.close()
    # notes of refusals, and of the pixels that these tests read
    noise = ("400 (Bad Request)", "404", "willReadFrequently")
    assert [text for text in said if not any(words in text for words in noise)] == []


@pytest.fixture(scope="module")
def video_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "a video; \"odd\" name.mp4"
    make_video(path)
    return path


def choose(page, path):
    page.locator("#file").set_input_files(path)


def draw(page, box):
    """Drag with the mouse around a box of the video."""
    place = page.locator("#image").bounding_box()
    zoom = place["width"] / WIDTH
    x, y, w, h = (value * zoom for value in box)
    page.mouse.move(place["x"] + x, place["y"] + y)
    page.mouse.down()
    page.mouse.move(place["x"] + x + w / 2, place["y"] + y + h / 3)
    page.mouse.move(place["x"] + x + w, place["y"] + y + h)
    page.mouse.up()


def drawn(page):
    return [float(page.locator(f"#box-{side}").input_value() or "nan") for side in "xywh"]


def step(page, name):
    page.locator(f"body[data-step={name}]").wait_for()


def color(page, x, y):
    """Of the page's image at a place of the video."""
    return page.evaluate("""([x, y]) => {
      const canvas = document.getElementById("image");
      const at = [x / 160 * canvas.width, y / 120 * canvas.height].map(Math.round);
      return [...canvas.getContext("2d").getImageData(...at, 1, 1).data].slice(0, 3);
    }""", [x, y])


def test_from_a_video_to_the_downloads(open_page, server, gate, video_file, tmp_path):
    page = open_page()
    choose(page, video_file)
    step(page, "draw")
    assert page.locator("#name").inner_text() == video_file.name
    assert "160 × 120, 10 frames" in page.locator("#facts").inner_text()
    assert page.locator("#track").is_disabled()
    red, _, blue = color(page, 26, 56)
    assert red > 180 and blue < 100
    draw(page, true_box(0))
    assert np.abs(np.subtract(drawn(page), true_box(0))).max() <= 1
    assert page.locator("#hint").inner_text() == "Track it, or add another target."
    page.locator("#track").click()
    gate.open(4)
    page.locator("#rate", has_text="frame 5 of 10").wait_for()
    page.wait_for_timeout(1500)  # slow enough for a rate that is told with a decimal
    assert page.locator("#plot path.line").get_attribute("d").count("L") == 4
    assert "a second" in page.locator("#rate").inner_text() and "left" in page.locator("#rate").inner_text()
    gate.open(5)
    step(page, "done")
    assert re.match(r"10 frames in .*: \d\.\d a second", page.locator("#summary").inner_text())
    page.locator("#frame", has_text="frame 9").wait_for()
    for button, ending in (("#result_video", "film.mp4"), ("#boxes", "boxes.csv"), ("#sheet", "sheet.png")):
        with page.expect_download() as download:
            page.locator(button).click()
        assert download.value.suggested_filename.endswith(f"name_{ending}")
        download.value.save_as(tmp_path / ending)
    rows = list(csv.DictReader((tmp_path / "boxes.csv").open()))
    assert len(rows) == 10
    for row in rows:
        assert np.abs(np.subtract([float(row[side]) for side in "xywh"], true_box(int(row["frame"])))).max() <= 2
    with av.open(str(tmp_path / "film.mp4")) as container:
        images = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(images) == 10 and images[0].shape[0] % HEIGHT == 0
    page.close()
    until(lambda: server.files == [])  # the page took its leave


def test_by_keyboard_alone_and_with_a_correction(open_page, gate, video_file):
    page = open_page()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "file"
    choose(page, video_file)
    step(page, "draw")
    assert page.evaluate("document.activeElement.id") == "image"
    page.keyboard.press("ArrowRight")  # a box in the middle
    x, y, w, h = drawn(page)
    assert [x, y, w, h] == [60, 40, 40, 40]
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowDown")
    assert drawn(page) == [x - 1, y, w, h + 1]
    for side, value in zip("xywh", true_box(0), strict=True):
        page.locator(f"#box-{side}").fill(str(value))
    page.keyboard.press("Tab")
    gate.open(9)
    page.locator("#image").press("Enter")
    step(page, "done")
    slider = page.get_by_role("slider")
    slider.press("Home")
    page.locator("#frame", has_text="frame 0").wait_for()
    slider.press("ArrowRight")
    slider.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "frame 2, score 0.90"
    page.locator("#frame", has_text="frame 2").wait_for()
    page.locator("#image").press("ArrowDown")
    assert page.locator("#hint").inner_text() == "The box will hold from frame 2 on."
    gate.open(8)
    page.locator("#track").press("Enter")
    step(page, "track")
    step(page, "done")
    assert page.locator("#plot .given").count() == 2


def test_a_box_that_is_typed_holds_with_its_last_digit(open_page, gate, video_file):
    page = open_page()
    choose(page, video_file)
    step(page, "draw")
    for side, value in zip("xywh", (WIDTH - 20, 10, 50, 30), strict=True):
        page.locator(f"#box-{side}").fill(str(value))
    assert drawn(page) == [WIDTH - 20, 10, 50, 30]  # as typed
    page.locator("#box-h").press("Tab")
    assert drawn(page) == [WIDTH - 20, 10, 20, 30]  # as it is within the image
    page.locator("#box-w").fill("10")
    gate.open(9)
    page.locator("#track").click()  # from the field, which is not left before
    step(page, "done")


def test_a_lost_target_is_told(open_page, gate, tmp_path):
    hidden = tmp_path / "gone.mp4"
    make_video(hidden, 14, hidden_from=2)
    page = open_page()
    choose(page, hidden)
    step(page, "draw")
    draw(page, true_box(0))
    gate.open(12)
    page.locator("#track").click()
    page.locator("#lost", has_text="probably lost").wait_for()
    assert "Probably lost since frame" in page.locator("#hint").inner_text()
    assert page.locator("#plot .gap").count() == 1
    page.locator("#stop").click()
    gate.open(1)
    step(page, "done")
    assert "probably lost in" in page.locator("#summary").inner_text()


def test_what_cannot_be_is_said_in_the_page(open_page, server, gate, video_file, tmp_path):
    page = open_page()
    problem = page.get_by_role("alert")
    for name, data, words in (("garbage.mp4", b"garbage" * 99, "it is not a video"), ("empty.mp4", b"", "empty"),
                              ("big.mp4", b"\0" * 100_001, "too large"),
                              ("long.mp4", make_video(tmp_path / "long.mp4", 21), "21 frames, 20 are the most")):
        (tmp_path / name).write_bytes(data)
        choose(page, tmp_path / name)
        problem.get_by_text(words).wait_for()
        assert page.locator("#choose").is_visible()
    choose(page, video_file)
    step(page, "draw")
    assert problem.count() == 0
    [video] = server.ids
    draw(page, true_box(0))
    server.ask("DELETE", f"/videos/{video}")
    page.locator("#track").click()
    problem.get_by_text("let go of this video").wait_for()
    step(page, "choose")


def test_a_closed_page_ends_its_tracking_and_the_next_in_line_begins(open_page, server, gate, video_file):
    first, second = open_page(), open_page()
    for page in (first, second):
        choose(page, video_file)
        step(page, "draw")
        draw(page, true_box(0))
        page.locator("#track").click()
        step(page, "track")
        if page is first:
            gate.open(1)
            first.locator("#rate", has_text="frame 2").wait_for()
            [video] = server.ids
    second.get_by_text("1 video must end before this one starts").wait_for()
    x, y, w, _ = true_box(0)
    red, _, blue = color(second, x + w / 2, y)
    assert blue > 200 and red < 120, "the box that was drawn is still there"
    # As a person closes it: the page's own handlers run, of which one tells the server.
    first.close(run_before_unload=True)
    until(lambda: not server.holds(video))
    gate.open(10)  # one of them for the frame at which the job is dropped
    step(second, "done")
    assert video not in server.ids and len(server.ids) == 1


def test_the_box_is_moved_resized_and_redrawn(open_page, video_file):
    page = open_page()
    choose(page, video_file)
    step(page, "draw")
    draw(page, [20, 20, 40, 30])
    draw(page, [40, 35, 10, 20])  # from within: moves
    assert np.abs(np.subtract(drawn(page), [30, 40, 40, 30])).max() <= 1
    draw(page, [70, 70, 10, 15])  # from the corner: resizes
    assert np.abs(np.subtract(drawn(page), [30, 40, 50, 45])).max() <= 1
    before = drawn(page)
    draw(page, [120, 20, 0.1, 0.1])  # a click: nothing
    assert drawn(page) == before
    draw(page, [100, 10, 90, 20])  # beyond the border: kept within
    assert np.abs(np.subtract(drawn(page), [100, 10, 60, 20])).max() <= 1
    page.locator("#image").press("Escape")
    assert np.isnan(drawn(page)).all() and page.locator("#track").is_disabled()


def test_it_fits_a_narrow_screen_in_both_schemes(open_page, video_file):
    page = open_page()
    page.set_viewport_size({"width": 360, "height": 700})
    choose(page, video_file)
    step(page, "draw")
    draw(page, true_box(0))
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        ink = page.evaluate("getComputedStyle(document.body).color").strip("rgb()").split(",")
        assert (int(ink[0]) > 128) == (scheme == "dark")


def test_two_targets_with_colors_score_lines_and_corrections_of_their_own(open_page, server, gate, video_file,
                                                                              tmp_path):
    page = open_page()
    choose(page, video_file)
    step(page, "draw")
    assert page.locator("#add-target").is_disabled(), "the first target comes first"
    draw(page, true_box(0))
    page.locator("#add-target").click()
    assert page.locator("#hint").inner_text() == "Draw a box around target 2."
    draw(page, [100, 80, 30, 20])
    chips = page.locator("#target-list button")
    assert chips.count() == 2 and chips.nth(1).get_attribute("aria-pressed") == "true"
    draw(page, [20, 50, 4, 4])  # from within the first one's box: it is taken up and moved
    assert chips.nth(0).get_attribute("aria-pressed") == "true"
    assert np.abs(np.subtract(drawn(page), np.add(true_box(0), [4, 4, 0, 0]))).max() <= 1
    chips.nth(1).click()
    assert np.abs(np.subtract(drawn(page), [100, 80, 30, 20])).max() <= 1
    gate.open(9)
    page.locator("#track").click()
    step(page, "done")
    page.locator("#frame", has_text="frame 9").wait_for()
    colors = page.evaluate("""() => [...document.querySelectorAll("#plot path.line")]
      .map((path) => getComputedStyle(path).stroke)""")
    assert colors == ["rgb(255, 150, 30)", "rgb(70, 165, 255)"]
    assert "target 2 probably lost" in page.locator("#summary").inner_text()
    assert page.locator("#plot .gap").count() == 1, "of the selected target"
    page.get_by_role("slider").press("Home")
    for _ in range(5):
        page.get_by_role("slider").press("ArrowRight")
    page.locator("#frame", has_text="frame 5").wait_for()
    draw(page, [120, 90, 30, 20])
    assert page.locator("#hint").inner_text() == "The box will hold from frame 5 on."
    gate.open(9)
    page.locator("#track").click()
    step(page, "track")
    step(page, "done")
    assert page.locator("#plot .given").count() == 3
    with page.expect_download() as download:
        page.locator("#boxes").click()
    download.value.save_as(tmp_path / "boxes.csv")
    rows = list(csv.DictReader((tmp_path / "boxes.csv").open()))
    assert [(int(row["frame"]), row["target"]) for row in rows] == [(frame, t) for frame in range(10) for t in "12"]
    second = [float(row["x"]) for row in rows if row["target"] == "2"]
    assert np.abs(np.subtract(second[:5], 100)).max() <= 1 and np.abs(np.subtract(second[5:], 120)).max() <= 1
    page.locator("#add-target").click()  # a third one, from a later frame on
    assert page.locator("#track").is_disabled() and page.locator("#hint").inner_text() == "Draw a box around target 3."


def test_a_box_drawn_in_the_middle_is_tracked_both_ways(open_page, gate, video_file):
    page = open_page()
    choose(page, video_file)
    step(page, "draw")
    assert page.locator("#both-ways-row").is_hidden()
    page.locator("#scrub-frame").fill("6")
    page.locator("#scrub-number", has_text="frame 6").wait_for()
    x, y, w, h = true_box(6)
    page.wait_for_function(f"""() => {{
      const canvas = document.getElementById("image");
      const at = [({x} + {w} - 4) / 160 * canvas.width, {y + 4} / 120 * canvas.height].map(Math.round);
      return canvas.getContext("2d").getImageData(...at, 1, 1).data[0] > 180; }}""")
    draw(page, true_box(6))
    assert page.locator("#both-ways-text").inner_text() == "also track backwards from frame 6"
    gate.open(6)
    page.locator("#track").click()
    gate.open(3)
    step(page, "done")
    assert page.locator("#summary").inner_text().startswith("10 frames in")
    assert page.get_by_role("slider").get_attribute("aria-valuemin") == "0"
    page.locator("#other").click()
    choose(page, video_file)
    step(page, "draw")
    page.locator("#scrub-frame").fill("6")
    draw(page, true_box(6))
    page.locator("#both-ways").uncheck()
    gate.open(9)
    page.locator("#track").click()
    step(page, "done")
    assert page.locator("#summary").inner_text().startswith("4 frames in")
