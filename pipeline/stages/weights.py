"""Stage `weights@ARCH`: ImageNet weights and their manifest, or the record of why there are none."""

from pipeline import errors, paths, preflight, pretrained


def main() -> None:
    name, params = preflight.check_model()
    errors.require_space(paths.WEIGHTS, 0)
    pretrained.obtain(name, params)


if __name__ == "__main__":
    errors.run(main)
