"""Starts `airflow jobmon` commands quickly: each is forked from this process, which has imported what they need.

    python fork_commands.py

Each line of standard input is `{"env": {...}, "log": path, "command": [...]}`; each line of output the process's id.
When standard input ends, every process is killed. A child runs Airflow's own entry point with its own arguments and
environment, so all that it skips is the import.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import sys
import traceback
from typing import NoReturn

_DIE_WITH_PARENT = 1  # prctl(2): the kernel kills a child whose parent is gone, however that ended


_IMPORTED = (
    "airflow.__main__",
    "airflow_jobmon.channels.email",
    "airflow_jobmon.channels.slack_webhook",
    "airflow_jobmon.channels.webhook",
    "airflow_jobmon.archive.archiving",
    "airflow_jobmon.cli.archive_command",
    "airflow_jobmon.cli.listen_command",
    "airflow_jobmon.runtime.storage",
)


def main() -> None:
    for module in _IMPORTED:
        importlib.import_module(module)
    from airflow.providers_manager import ProvidersManager

    ProvidersManager().initialize_providers_configuration()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps them
    print("ready", flush=True)  # noqa: T201
    for line in sys.stdin:
        wanted = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(wanted["command"], wanted["env"], wanted["log"])
        print(child, flush=True)  # noqa: T201


def _become(command: list[str], env: dict[str, str], log: str) -> NoReturn:
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    nothing, output = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for descriptor, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(descriptor, target)
    os.environ.update(env)
    sys.argv = command
    from airflow.__main__ import main as airflow

    code = 0
    try:
        airflow()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001 - nothing may unwind into the parent's code
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
