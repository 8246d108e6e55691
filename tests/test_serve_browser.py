"""The web page and the page of --compare in a real browser, as a person uses them."""

import base64
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pictures import SRGB, smooth
from playwright.sync_api import expect, sync_playwright
from tiny_network import write_network
from web_server import running

from jsr.images import Picture, read_picture, write_picture

pytestmark = pytest.mark.long
ROOT = Path(__file__).parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def browser():
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"needs one of {', '.join(BROWSERS)}: apt install chromium")
    # Chromium has no sandbox for root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    """A new window; what its console says goes wrong fails the test."""
    page = browser.new_page(viewport={"width": 1000, "height": 800}, device_scale_factor=1)
    complaints = []
    page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    page.close()
    # Answers such as 422 are told there too.
    assert [text for text in complaints if "the server responded with a status" not in text] == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A picture, weights, and what the command makes of them: big.png, page.html."""
    folder = tmp_path_factory.mktemp("browser")
    write_network(folder / "net.safetensors", noise=0.05)
    picture = Picture(smooth(90, 120, 3), None, SRGB, (300.0, 300.0), None)
    write_picture(folder / "photo.png", picture)
    words = ["photo.png", "big.png", "--weights=net.safetensors", "--compare=page.html"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    subprocess.run(
        [sys.executable, "-m", "jsr.upscale", *words], cwd=folder, env=environment, check=True
    )
    return folder


@pytest.fixture(scope="module")
def server(folder):
    (folder / "jobs").mkdir()
    with running(folder / "jobs", [folder / "net.safetensors"]) as server:
        yield server


def drop(page, path):
    """Drop a file on the page, as from a file manager."""
    data = base64.b64encode(path.read_bytes()).decode()
    carried = page.evaluate_handle(
        """([data, name]) => {
            const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
            const carried = new DataTransfer();
            carried.items.add(new File([bytes], name));
            return carried;
        }""",
        [data, path.name],
    )
    for kind in ("dragover", "drop"):
        page.dispatch_event("#drop", kind, {"dataTransfer": carried})


def shown(page):
    """The pixels of the figure's pictures on the screen."""
    page.wait_for_function(
        "[...document.querySelectorAll('.stack img')].every((i) => i.complete && i.naturalWidth)"
    )
    # Elsewhere than at whole pixels it would be drawn a little blurred.
    place = page.evaluate(
        """() => {
            const viewport = document.querySelector('.viewport');
            viewport.closest('figure').style.contentVisibility = 'visible';
            viewport.style.cssText = 'position: fixed; top: 0; left: 0; right: 0; z-index: 9';
            const {width, height} = viewport.querySelector('.stack').getBoundingClientRect();
            return {x: 0, y: 0, width, height};
        }"""
    )
    seen = page.screenshot(clip=place)
    page.evaluate("document.querySelector('.viewport').style.cssText = ''")
    return read_picture(seen).pixels.astype(int)


def is_like(seen, pixels):
    """Whether a screenshot shows pixels, the line at its edge aside."""
    assert seen.shape == pixels.shape
    return np.abs(seen - pixels)[:, 6:-6].max() <= 2


def fits(page):
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def check_slider(page, before, after):
    """Move the slider by keys: from the left end all is after, from the right end before."""
    slider = page.get_by_role("slider")
    slider.focus()
    page.keyboard.press("Home")
    assert is_like(shown(page), after) and not is_like(shown(page), before)
    page.keyboard.press("End")
    assert is_like(shown(page), before) and not is_like(shown(page), after)
    page.keyboard.press("ArrowLeft")
    assert slider.get_attribute("aria-valuetext") == "99 % before, 1 % after"


def bicubic(page):
    """The picture before, as the page has it."""
    told = page.evaluate(
        """async () => {
            const image = document.querySelector('.stack img');
            const bytes = new Uint8Array(await (await fetch(image.src)).arrayBuffer());
            return btoa(String.fromCharCode(...bytes));
        }"""
    )
    return read_picture(base64.b64decode(told)).pixels


def test_drop_wait_compare_download(page, server, folder, tmp_path):
    page.goto(server.url)
    drop(page, folder / "photo.png")
    expect(page.get_by_role("status")).to_have_text("photo.png is chosen")
    page.get_by_role("button", name="Enlarge").click()
    expect(page.get_by_role("status")).to_have_text("Done", timeout=60_000)
    result = read_picture(folder / "big.png").pixels
    check_slider(page, bicubic(page), result)
    expect(page.locator("#facts")).to_contain_text("120x90 → 240x180")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "photo_x2.png"
    download.value.save_as(tmp_path / "saved.png")
    assert (tmp_path / "saved.png").read_bytes() == (folder / "big.png").read_bytes()


def test_by_keyboard_on_a_phone(page, server, folder):
    page.set_viewport_size(PHONE)
    page.goto(server.url)
    assert fits(page)
    field = page.get_by_label("Drop a picture here, or choose one")
    field.set_input_files(folder / "photo.png")
    field.focus()
    focused = []
    for _ in range(4):
        page.keyboard.press("Tab")
        focused.append(page.evaluate("document.activeElement.id"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert focused == ["weights", "scale", "format", "start"]
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.type("3")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("Done", timeout=60_000)
    assert page.evaluate("document.activeElement.id") == "title"
    expect(page.get_by_role("link", name="Download")).to_have_attribute("download", "photo_x3.png")
    assert fits(page)
    page.get_by_label("Zoom").select_option("400 %")
    assert fits(page) and page.evaluate("document.querySelector('.stack').clientWidth") == 1440
    page.evaluate("document.querySelector('.viewport').scrollLeft = 500")
    # The line stays in the middle of what is seen.
    seen = page.evaluate("document.querySelector('.viewport').clientWidth")
    page.wait_for_function(
        "(left) => Math.abs(parseFloat(document.querySelector('.divider').style.left) - left) < 2",
        arg=500 + seen / 2,
    )


def test_mistakes_are_told_and_the_next_picture_is_done(page, server, folder, tmp_path):
    (tmp_path / "notes.png").write_text("no picture")
    (tmp_path / "huge.png").write_bytes(bytes(1_000_001))
    page.goto(server.url)
    for name, told in [
        ("notes.png", "notes.png: is not a picture that can be read"),
        ("huge.png", "huge.png: has more than 1 MB, the limit here"),
    ]:
        page.locator("#file").set_input_files(tmp_path / name)
        page.get_by_role("button", name="Enlarge").click()
        expect(page.get_by_role("alert")).to_contain_text(told, timeout=30_000)
        expect(page.locator("#done")).to_be_hidden()
    page.locator("#file").set_input_files(folder / "photo.png")
    page.get_by_label("Weights").select_option("bicubic")
    page.get_by_label("Scale").fill("2")
    page.get_by_role("button", name="Enlarge").click()
    expect(page.get_by_role("status")).to_have_text("Done", timeout=60_000)
    expect(page.get_by_role("alert")).to_be_empty()


def test_the_page_of_compare(page, folder):
    page.goto((folder / "page.html").as_uri())
    check_slider(page, bicubic(page), read_picture(folder / "big.png").pixels)
    # By mouse, too.
    box = page.locator(".stack").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 4, box["y"] + 20)
    assert page.get_by_role("slider").input_value() == "25"
    page.set_viewport_size(PHONE)
    assert fits(page)
