"""Stage `publish`: logs the exports in MLflow, writes their model cards, and gives the small model the alias `edge`."""

from pipeline.core import candidates, environment, paths
from pipeline.core.files import list_files, read_json, replacing, write_json
from pipeline.registry import exports, versions
from pipeline.reporting import model_card
from pipeline.tracking import logged_models, runs, store


def main() -> None:
    params = environment.check()
    store.connect(params)
    rows = read_json(paths.EXPORTED)
    names = dict.fromkeys(row["candidate"] for row in rows)
    for name in names:
        run = runs.of(name)
        with versions.alone():
            for row in rows:
                if row["candidate"] == name:
                    exports.log(row, run)
        text = model_card.render(name, logged_models.model_uri(run), exports=rows)
        with replacing(paths.EXPORT_CARDS / f"{name}.md") as temporary:
            temporary.write_text(text)
    outcome = exports.edge(rows, candidates.scored(), params)
    if outcome["version"] is None:
        print(f"{outcome['model']}: @{versions.EDGE} stays where it was: {outcome['reason']}")
    else:
        print(f"{outcome['model']} version {outcome['version']}, @{versions.EDGE}: {outcome['description']}")
    write_json(paths.EDGE, outcome)
    paths.EXPORT_CARDS.mkdir(parents=True, exist_ok=True)  # also if nothing was exported
    for path in list_files(paths.EXPORT_CARDS):
        if path.stem not in names:
            path.unlink()
