"""Stage `find`: which ImageNet weights can be had for each architecture. It always runs, so that it asks again."""

from pipeline import errors, paths, preflight, pretrained
from pipeline.files import write_json

NEEDED = 200_000_000  # bytes: all files, if none is here yet


def main() -> None:
    params = preflight.check()
    errors.require_space(paths.DOWNLOADS, NEEDED)
    paths.FOUND.mkdir(parents=True, exist_ok=True)
    for path in paths.FOUND.iterdir():
        if path.stem not in params.models:
            path.unlink()
    for name in params.models:
        found = pretrained.find(name, params)
        write_json(paths.FOUND / f"{name}.json", found)
        print(f"{name}: {found['status']}: {found.get('reason') or found['origin']}")


if __name__ == "__main__":
    errors.run(main)
