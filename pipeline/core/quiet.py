"""Notices of libraries kept out of the output: those of TensorFlow and LiteRT from C++, MLflow's bars."""

import logging
import os
import shutil
import subprocess
import sys

LEVEL = "MLFLOW_LOGGING_LEVEL"
SETTINGS = {
    "TF_CPP_MIN_LOG_LEVEL": "2",  # errors only; TensorFlow's first lines come all the same
    "GLOG_minloglevel": "2",
    LEVEL: "WARNING",  # at INFO, each run says that its system metrics begin and end
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # where a program may read JSON
}
NOTICES = (  # lines from C++, as regular expressions for `grep -E`
    "^WARNING: All log messages before absl::InitializeLog",
    "^[IW][0-9]{4} [0-9:.]+ ",  # information and warnings of absl's logging
    "^[0-9-]+ [0-9:.]+: [IW] ",  # the same of TensorFlow's own
    "^[EF0-9].*(cuInit|cudaGetRuntimeVersion|Unable to register cu[A-Z]+ factory)",  # there is no GPU; no error
    "^(INFO: (Created|Initialized) TensorFlow Lite|fully_quantize: )",
    r"\[[IW]:onnxruntime",
)


def silence() -> None:
    """Keep the libraries' notices out of this process' output. Call it before they are imported.

    C++ writes to file descriptor 2, and before absl's logging is set up no setting stops it. The descriptor becomes a
    pipe to `grep`, which drops NOTICES and passes all other lines on. It is a process of its own, so that the last
    words of one that crashes get through. sys.stderr goes past it, and stays a terminal if it is one. A child process
    that shall have the terminal takes `stderr=sys.stderr`. Raises ValueError if MLflow will not take the level that is
    set.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    if (level := os.environ[LEVEL]).upper() not in logging.getLevelNamesMapping():
        raise ValueError(f"{LEVEL}: {level} is none of {', '.join(logging.getLevelNamesMapping())}")
    logging.getLogger("alembic").setLevel(logging.WARNING)  # at INFO, it names each step in making MLflow's database
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # which MLflow imports, of a home that it cannot write to
    grep = shutil.which("grep")
    if grep is None or sys.__stderr__ is None or sys.stderr is not sys.__stderr__:  # by pytest, or by this
        return
    sys.stderr.flush()
    straight = os.dup(2)
    reading, writing = os.pipe()
    command = [grep, "--line-buffered", "--text", "--invert-match", "--extended-regexp", "|".join(NOTICES)]
    # In a session of its own: Ctrl-C must not end it before this process. It ends when nobody has the pipe any more.
    passing = subprocess.Popen(command, stdin=reading, stdout=straight, start_new_session=True)
    passing.returncode = 0  # nobody waits for it
    os.dup2(writing, 2)
    os.close(reading)
    os.close(writing)
    sys.stderr = os.fdopen(straight, "w", buffering=1, errors="backslashreplace")
