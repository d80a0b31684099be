"""Stage `summary`: prints the table, the winner, and how to go on. It always runs, and writes nothing."""

import os

from tabulate import tabulate

from pipeline.core import environment, errors, paths
from pipeline.core.files import read_json
from pipeline.reporting import results

SHORT = (0, 1, 4, 6, 7, 11, 12)  # columns that fit a terminal


def main() -> None:
    environment.check()
    rows = results.rows(results.load())
    decision = read_json(paths.REGISTRY)
    name = decision["model"]
    table = [[row[index] for index in SHORT] for row in rows]
    print(tabulate(table, [results.HEADER[index] for index in SHORT], disable_numparse=True))
    uri = os.environ.get(environment.TRACKING) or f"sqlite:///{paths.STORE}/mlflow.db"
    verdict = "promoted" if decision["gate"]["promote"] else "refused"
    print(f"""
best    {decision["candidate"]}, by {decision["decided_by"]}: {name} version {decision["version"]}, \
@{decision["alias"]}, stage {decision["stage"]}
gate    {verdict}: {decision["gate"]["reason"]}; `pipeline history` tells what has happened since
runs    make ui""")
    if decision["champion"]:
        print(f"""load    import mlflow
        mlflow.set_tracking_uri("{uri}")
        mlflow.pyfunc.load_model("models:/{name}@champion")""")


if __name__ == "__main__":
    errors.run(main)
