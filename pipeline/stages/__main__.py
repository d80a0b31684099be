"""`python -m pipeline.stages STAGE [NAME]`: runs a stage of dvc.yaml, whose module has that name."""

import importlib
import pkgutil
import sys

from pipeline import stages
from pipeline.core import errors, git, process  # noqa: F401  from the import of `process` on, its seconds count


def main() -> None:
    known = sorted(module.name for module in pkgutil.iter_modules(stages.__path__) if module.name != "__main__")
    if len(sys.argv) < 2 or sys.argv[1] not in known:
        raise errors.UserError(f"name a stage: {', '.join(known)}")
    git.state()  # results name the commit: a git that fails is told before any work
    stage = importlib.import_module(f"{stages.__name__}.{sys.argv.pop(1)}")
    sys.modules["__main__"] = stage  # data/splits.py asks whose process this is
    stage.main()


if __name__ == "__main__":
    errors.run(main)
