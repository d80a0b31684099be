"""Stage `track@ARCH`, and of the ensemble: brings MLflow into line with what the files say of a candidate."""

from pipeline.core import candidates, environment, errors, paths
from pipeline.core.files import write_json


def main() -> None:
    name, params = environment.check_candidate()
    facts = candidates.facts(name)
    if facts["status"] == "skipped":
        write_json(paths.RUNS / f"{name}.json", {"skipped": facts["reason"]})
        print(f"{name}: skipped: {facts['reason']}")
        return
    from pipeline.tracking import store, upload, view  # MLflow takes seconds to import

    experiment = store.connect(params)
    shown = view.of(name)
    run = upload.upload(shown, experiment)
    write_json(paths.RUNS / f"{name}.json", {"stage": shown.stage, "fingerprint": shown.fingerprint})
    print(f"{name}: run {run.info.run_id}")


if __name__ == "__main__":
    errors.run(main)
