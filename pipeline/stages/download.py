"""Stage `download`: the six official CIFAR-10 batches, from the first source that has them."""

from pipeline.core import environment, errors, paths
from pipeline.data import cifar10, sources

NEEDED = 800_000_000  # bytes: an archive, what it unpacks to, the copy that gets the final name


def main() -> None:
    params = environment.check()
    if not cifar10.faults(paths.RAW, cifar10.BATCHES):
        print(f"{paths.RAW}: complete, with the official checksums")
        return
    errors.require_space(paths.RAW.parent, NEEDED)
    sources.obtain(params.data.sources, paths.RAW, params.http)
