"""The page of the server in a browser: a picture is chosen or dropped, and what each member says of it."""

import io
import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser import visit
from tests.served import png


def sums(page) -> list[float]:
    cells = np.array(
        [[float(cell) for cell in row.locator("td").all_inner_texts()] for row in page.locator("#rows tr").all()]
    )
    return list(cells.sum(axis=0))


def look(seen, url: str, name: str) -> None:
    """Nothing is wrong with the page, nor was anything asked of another server."""
    seen.keep(f"demo/{name}")
    assert seen.overflow() == 0
    assert seen.violations() == []
    assert seen.complaints == []
    assert all(address.startswith((url, "data:")) for address in seen.asked)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1000])
def test_a_picture_is_chosen_on_the_page(url, browser, images, scheme, width):
    big = Image.fromarray(images[0][1]).resize((300, 200))
    file = io.BytesIO()
    big.save(file, "JPEG")
    picture = {"name": "ship.jpg", "mimeType": "image/jpeg", "buffer": file.getvalue()}
    with visit(browser, url, width, color_scheme=scheme) as seen:
        seen.page.set_input_files("#file", picture)
        expect(seen.page.locator("#rows tr")).to_have_count(10)
        assert seen.page.locator("#head th").all_inner_texts() == ["class", "ensemble", "one", "two"]
        assert sums(seen.page) == pytest.approx([100] * 3, abs=0.6)
        look(seen, url, f"{scheme}-{width}")


TRANSFER = """([bytes, type]) => {
    const data = new DataTransfer();
    data.items.add(new File([new Uint8Array(bytes)], "dropped", {type}));
    return data;
}"""


def test_a_picture_is_dropped_on_the_page(url, browser, images):
    with visit(browser, url) as seen:
        picture = seen.page.evaluate_handle(TRANSFER, [list(png(images[0][0])), "image/png"])
        seen.page.dispatch_event("#drop", "drop", {"dataTransfer": picture})
        expect(seen.page.locator("#said")).to_contain_text(re.compile(r"ensemble: \w+, [\d.]+ %"))
        look(seen, url, "dropped")


def test_what_is_no_picture_is_said_on_the_page(url, browser):
    with visit(browser, url) as seen:
        seen.page.set_input_files("#file", {"name": "cat.png", "mimeType": "image/png", "buffer": b"a cat"})
        expect(seen.page.locator("#said")).to_contain_text("is no picture")
        expect(seen.page.locator("#result")).to_be_hidden()
