"""Stage `weights@ARCH`: the ImageNet weights that `find` found, or the record of why there are none."""

from pipeline import errors, paths, preflight, pretrained
from pipeline.files import read_json


def main() -> None:
    name, params = preflight.check_model()
    found = read_json(paths.FOUND / f"{name}.json")
    pretrained.install(name, found, params)
    print(f"{name}: {found['status']}")


if __name__ == "__main__":
    errors.run(main)
