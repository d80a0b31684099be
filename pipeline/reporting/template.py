"""The templates of the page and of the model card, filled in by Jinja."""

from collections.abc import Callable, Mapping
from typing import Any

import jinja2


def fill(name: str, values: Mapping[str, Any], **filters: Callable[..., str]) -> str:
    """Return a file of templates/ with the values in their places, escaped in HTML; a value that is missing raises."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline.reporting"),
        autoescape=jinja2.select_autoescape(),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters
    return environment.get_template(name).render(values)
