"""Headless Chromium for the tests of pages: a page is opened at one size, and what no page of ours may do is checked when it is left."""

import shutil
from contextlib import contextmanager

import pytest

CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
FLAGS = "--no-sandbox --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync"
DRAWN = {False: "--disable-gpu", True: "--use-angle=swiftshader --enable-unsafe-swiftshader --ignore-gpu-blocklist"}
"""A module of tests whose pages draw in three dimensions says WEBGL = True; the others are faster without."""


@pytest.fixture(scope="module")
def browser(request):
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e .[test]")
    if CHROMIUM is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(
            executable_path=CHROMIUM, args=f"{FLAGS} {DRAWN[getattr(request.module, 'WEBGL', False)]}".split()
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def visiting(browser):
    """visiting(address, size, ready): the page, once an element `ready` is there; a size less wide than 500 pixels is that of a phone.
    Afterwards nothing was said on the console, nothing was fetched, and nothing is wider than the screen."""

    @contextmanager
    def visit(address: str, size: tuple[int, int], ready: str):
        width, height = size
        context = browser.new_context(viewport={"width": width, "height": height}, has_touch=width < 500)
        page, said, asked = context.new_page(), [], []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address)
        page.wait_for_selector(ready)
        yield page
        # swiftshader, which draws here without a graphics card, says that reading pixels back is slow
        assert [text for text in said if "GPU stall due to ReadPixels" not in text] == []
        assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        context.close()

    return visit
