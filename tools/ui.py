"""`python -m tools.ui` (or `make ui`): MLflow's pages; prints the addresses of the runs and of the registered model.

MLflow's first page is about other things. With a tracking server (MLFLOW_TRACKING_URI) the addresses are that server's,
and nothing is started. PORT is 5000 by default.
"""

import os
import sys

from pipeline.core import environment, errors


def main() -> None:
    params = environment.check(write=False)
    import mlflow  # which wants a home, as `errors.run` gives one

    from pipeline.tracking import store

    experiment = store.connect(params, write=False)
    uri, port = mlflow.get_tracking_uri(), os.environ.get("PORT") or "5000"
    remote = uri.startswith(("http://", "https://"))
    base = uri.rstrip("/") if remote else f"http://127.0.0.1:{port}"
    print(f"runs:  {base}/#/experiments/{experiment and f'{experiment}/runs'}")
    print(f"model: {base}/#/models/{params.registry.model}")
    if not remote:
        os.dup2(sys.stderr.fileno(), 2)  # the server's lines go to the terminal, as if nothing had stood before it
        command = ["mlflow", "ui", "--workers", "1", "--host", "127.0.0.1", "--port", port, "--backend-store-uri", uri]
        os.execvp("mlflow", command)  # noqa: S606  Ctrl-C and SIGTERM go to the server


if __name__ == "__main__":
    errors.run(main)
