"""Stage `page`: the report as one HTML page that needs no network, also an artifact of the best candidate's run."""

from pipeline.core import environment, errors, paths
from pipeline.core.files import read_json, replacing
from pipeline.reporting import page
from pipeline.tracking import runs, store


def main() -> None:
    params = environment.check()
    made = page.html()
    with replacing(paths.PAGE) as temporary:
        temporary.write_text(made, "utf-8")
    store.connect(params)
    run = runs.find(read_json(paths.REGISTRY)["run_id"])
    store.log_file(paths.PAGE, run.info.run_id)
    print(f"{paths.PAGE}: {paths.PAGE.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    errors.run(main)
