"""Stage `page`: the report as one HTML page that needs no network, also an artifact of the best candidate's run."""

from pipeline import errors, page, paths, preflight, runs, tracking
from pipeline.files import read_json, replacing


def main() -> None:
    params = preflight.check()
    made = page.html()
    with replacing(paths.PAGE) as temporary:
        temporary.write_text(made, "utf-8")
    tracking.connect(params)
    run = runs.find(read_json(paths.REGISTRY)["run_id"])
    tracking.log_file(paths.PAGE, run.info.run_id)
    print(f"{paths.PAGE}: {paths.PAGE.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    errors.run(main)
