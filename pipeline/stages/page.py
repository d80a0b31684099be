"""Stage `page`: the report as one HTML page that needs no network."""

from pipeline.core import environment, paths
from pipeline.core.files import replacing
from pipeline.reporting import page


def main() -> None:
    environment.check(store=False)
    with replacing(paths.PAGE) as temporary:
        temporary.write_text(page.html(), "utf-8")
    print(f"{paths.PAGE}: {paths.PAGE.stat().st_size / 1e3:.0f} kB")
