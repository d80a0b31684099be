"""What every stage checks before any work: params.yaml, dvc, Keras' backend, the MLflow store."""

import contextlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import socket
import sqlite3
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote, urlsplit

from pipeline.core import connection, files, params, paths
from pipeline.core.errors import UserError, require_space
from pipeline.core.schema import Params

OFFLINE = "CIFAR10_OFFLINE"  # 1: nothing is downloaded
BACKEND, BACKENDS = "KERAS_BACKEND", ("tensorflow", "jax")
TRACKING, REGISTRY = "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"
ROLES = {TRACKING: "tracking server", REGISTRY: "registry server"}
SQLITE, DATABASE, ARTIFACTS = "sqlite:///", "mlflow.db", "artifacts"
SERVERS, DATABASES = ("http", "https"), {"postgresql": 5432, "mysql": 3306, "mssql": 1433}  # and their ports
STORES = (*SERVERS, "sqlite", *DATABASES, "databricks")  # schemes that MLflow opens
UNUSABLE = "?#%'"  # characters of a path that an address of an SQLite store cannot have
CERTIFICATES = ("MLFLOW_TRACKING_SERVER_CERT_PATH", "MLFLOW_TRACKING_CLIENT_CERT_PATH")
OLDEST = 3  # of a server: the first MLflow with logged models
REVISION = re.compile(r"^(down_)?revision = ['\"](\w+)", re.MULTILINE)  # of tables, in MLflow's steps between them
# MLflow ends the making of a store by making an experiment.
TABLES = "SELECT version_num FROM alembic_version WHERE EXISTS (SELECT 1 FROM experiments)"


def check(store: bool = True, write: bool = True) -> Params:
    """Return the checked params, after dvc.lock is copied. Raises UserError at a fault.

    `store`: also of MLflow's. `write`: also if nothing can be written, here or there.
    """
    checked = params.load()
    if shutil.which("dvc") is None:
        raise UserError("dvc is not on the PATH: activate the environment that make builds (`. .venv/bin/activate`)")
    check_backend()
    offline = os.environ.get(OFFLINE, "")
    if offline not in ("", "0", "1"):
        raise UserError(f"{OFFLINE}: {offline} says neither yes nor no: give 1, or unset it")
    for variable in (*connection.BUNDLES, *CERTIFICATES):
        if named := os.environ.get(variable):
            os.environ[variable] = str(place := paths.shared(named))  # for the libraries that read it
            if not place.exists():
                raise UserError(f"{variable}: {named} does not exist: name a file with certificates (PEM), or unset it")
    if store:
        check_store(checked.tracking.timeout, write)
    if write:
        require_space(Path(), 0)
    if "DVC_STAGE" in os.environ and Path("dvc.lock").exists():
        files.copy(Path("dvc.lock"), paths.LOCK_KEPT)  # for `pipeline mend`: DVC has just read it, and writes in place
    return checked


def check_backend() -> None:
    """Raise UserError unless Keras' backend is one of BACKENDS, and installed."""
    backend = os.environ[BACKEND]  # `import pipeline.core` sets it
    if backend not in BACKENDS:
        raise UserError(f"{BACKEND}: {backend} is not for this project: give {' or '.join(BACKENDS)}, or unset it")
    if importlib.util.find_spec(backend) is None:
        raise UserError(f"{BACKEND}: {backend} is not installed: install it, or name another of {', '.join(BACKENDS)}")


def check_model(store: bool = True, ensemble: bool = False) -> tuple[str, Params]:
    """Return the architecture (or `ensemble`, if allowed) of the command line, and the params. Raises as `check`."""
    checked = check(store)
    names = [*checked.models, "ensemble"] if ensemble else [*checked.models]
    if len(sys.argv) != 2 or sys.argv[1] not in names:
        raise UserError(f"name one of {', '.join(names)}")
    return sys.argv[1], checked


class Older(UserError):
    """A store is of an older MLflow than the installed one."""


def tracking_uri() -> str:
    """Return the address of the store: that of the variable, or of an SQLite database under paths.STORE."""
    return _absolute(os.environ.get(TRACKING) or f"{SQLITE}{paths.STORE}/{DATABASE}")


def registry_uri() -> str:
    """Return the address of the registry, if the variable names one that is not the store's; else nothing."""
    named = os.environ.get(REGISTRY)
    return _absolute(named) if named else ""


def store_file(address: str) -> Path | None:
    """Return the database's file, if the address is that of an SQLite store that has one."""
    name = address.partition("?")[0].partition(SQLITE)[2]
    return Path(name).resolve() if name and name != ":memory:" else None


def is_remote() -> bool:
    """Return whether the store or the registry is something else than a file."""
    return not all(store_file(address) for address in (tracking_uri(), registry_uri()) if address)


def check_store(timeout: float, write: bool) -> None:
    """Raise UserError unless store and registry answer within `timeout` seconds, and are of a fitting MLflow version.

    `write`: what is a file here must also take what is logged. Raises OSError if it may not be read or written.
    """
    for variable, address in ((TRACKING, tracking_uri()), (REGISTRY, registry_uri())):
        scheme, database = address.partition(":")[0].partition("+")[0], store_file(address)
        if address and scheme not in STORES:
            remedy = "give http(s)://HOST or sqlite:///FILE, or unset it"
            raise UserError(f"{variable}: {address} is no MLflow store: {remedy}")
        if scheme in SERVERS:
            _check_server(variable, address, timeout)
        if scheme in DATABASES:
            _check_port(variable, address, DATABASES[scheme], timeout)
        if database and database.is_file():
            _check_file(database, write)


def check_revision(place: str, revision: str | None, remedy: str) -> None:
    """Raise UserError if the tables of a database are those of another MLflow than the installed one.

    `revision`: of the tables, as the database names it; None if it has none yet. `remedy`: what to do about older ones.
    """
    installed = importlib.metadata.distribution("mlflow")
    steps = Path(str(installed.locate_file("mlflow/store/db_migrations/versions")))
    found = [REVISION.findall(step.read_text()) for step in steps.glob("*.py")]
    before, known = ({name for step in found for down, name in step if bool(down) is older} for older in (True, False))
    if revision in before:
        raise Older(f"{place} is of an older MLflow than {installed.version}, which is installed: {remedy}")
    if revision not in known | {None}:
        remedy = f"install that one, or set {TRACKING} to another store"
        raise UserError(f"{place} is of a newer MLflow than {installed.version}, which is installed: {remedy}")


def _absolute(address: str) -> str:
    """Return the address, where a relative file is the repository's, in each workspace that DVC makes."""
    name, mark, query = address.partition("?")
    scheme, _, place = name.partition(":///")
    if scheme.partition("+")[0] != "sqlite" or not place or place.startswith((":memory:", "file:", "/")):
        return address
    whole = str(paths.shared(place).resolve())
    if wrong := sorted({*UNUSABLE} & {*whole}):
        raise UserError(f"{whole}: MLflow cannot keep a store where a name has {' '.join(wrong)}: rename the folder")
    return f"{scheme}:///{whole}{mark}{query}"


def _check_server(variable: str, address: str, timeout: float) -> None:
    import requests  # every stage starts with `check`, and few need this
    from urllib3.exceptions import HTTPError  # which requests does not always translate

    base, who = address.rstrip("/"), f"the {ROLES[variable]} {address}"
    verify = os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() not in ("true", "1")  # as MLflow reads these
    trusted, own = map(os.environ.get, CERTIFICATES)
    try:
        with requests.Session() as session:
            session.verify, session.cert = trusted or verify, own
            status = session.get(f"{base}/health", timeout=timeout).status_code
            version = session.get(f"{base}/version", timeout=timeout)
    except (OSError, HTTPError) as error:
        reason = connection.reason(error)
        raise UserError(f"{who} does not answer ({reason}): start it, or unset {variable}") from None
    if status >= 500:
        raise UserError(f"{who} answers {status}: mend it, or unset {variable}")
    number = re.match(r"(\d+)\.\d", version.text) if version.ok else None
    if number and int(number[1]) < OLDEST:
        remedy = f"update it to {OLDEST}.0 or later, or unset {variable}"
        raise UserError(f"{who} is of MLflow {version.text[:20]}, which has no logged models: {remedy}")


def _check_port(variable: str, address: str, port: int, timeout: float) -> None:
    parts = urlsplit(address)
    if not parts.hostname:  # a socket of this machine
        return
    try:
        socket.create_connection((parts.hostname, parts.port or port), timeout).close()
    except OSError as error:
        remedy = f"start it, or unset {variable}"
        raise UserError(f"the database {address} does not answer ({error.strerror or error}): {remedy}") from None


def _check_file(database: Path, write: bool) -> None:
    with database.open("rb+" if write else "rb"):
        pass
    for folder in (database.parent, database.parent / ARTIFACTS) if write else ():
        if folder.exists():
            tempfile.TemporaryFile(dir=folder, prefix=".writable-").close()
    check_tables(database)


def check_tables(database: Path) -> None:
    """Raise UserError if the tables in a database's file are those of another MLflow; Older if they can be migrated."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True)) as opened:
            revision = opened.execute(TABLES).fetchone()
    except sqlite3.Error:  # it has no such tables yet, or is no database, of which MLflow says more
        return
    remedy = "`pipeline mend --migrate` makes it one of that, and keeps a copy"
    check_revision(f"the store {database}", revision and revision[0], remedy)
