"""A headless Chromium that looks at pages: what they complain of, ask for, and keep from whom."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = ("quic", "gpu", "background-networking", "component-update", "sync")  # what it does not need for a page
PICTURES = Path(__file__).parents[1] / ".artifacts"  # screenshots: git ignores them, CI keeps them


def executable() -> str | None:
    """Chromium or Chrome: the one that the variable BROWSER names, or else the first on the PATH."""
    named = os.environ.get("BROWSER", "")
    names = (named, *NAMES) if "chrom" in Path(named).name else NAMES  # it may name any browser, for any purpose
    return next(filter(None, map(shutil.which, names)), None)


@contextlib.contextmanager
def started() -> Iterator[Browser]:
    """Without a browser the test is skipped, or fails where the variable CI is set."""
    path = executable()
    if path is None:
        reason = "no browser: put chromium or google-chrome on the PATH, or name it in the variable BROWSER"
        (pytest.fail if "CI" in os.environ else pytest.skip)(reason)
    arguments = ["--no-sandbox", "--no-first-run", *(f"--disable-{name}" for name in QUIET)]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


class Visit:
    """A page that is being looked at, in a window of its own.

    `complaints`: errors and warnings on the console, uncaught errors, requests that failed or were refused.
    `asked`: the address of each request, the page's own first.
    """

    def __init__(self, page: Page):
        self.page, self.complaints, self.asked = page, [], []
        page.on("console", lambda said: self._complain(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self._complain(str(error)))
        page.on("requestfailed", lambda request: self._complain(f"{request.url}: {request.failure}"))
        page.on("response", lambda answer: self._complain(f"{answer.url}: {answer.status}") if not answer.ok else None)
        page.on("request", lambda request: self.asked.append(request.url))

    def _complain(self, text: str) -> None:
        self.complaints.append(text)

    def violations(self) -> list[str]:
        """What axe finds against accessibility: a line a place, with the rule and what is wrong there."""
        found = Axe().run(self.page).response["violations"]
        return [
            f"{rule['id']}: {place['html']}: {place['failureSummary']}" for rule in found for place in rule["nodes"]
        ]

    def overflow(self) -> int:
        """Pixels by which the page is wider than its window."""
        return self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")

    def keep(self, name: str, full: bool = True) -> None:
        """A screenshot of the whole page, or of what the window shows: PICTURES/`name`.png."""
        path = PICTURES / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path, full_page=full)


@contextlib.contextmanager
def visit(browser: Browser, address: str, width: int = 1280, height: int = 900, **window) -> Iterator[Visit]:
    """Open an address. `window`: further arguments of Playwright's `new_context`, as color_scheme="dark"."""
    context = browser.new_context(viewport={"width": width, "height": height}, **window)
    try:
        made = Visit(context.new_page())
        made.page.goto(address)
        yield made
    finally:
        context.close()
