"""`python -m demo`, which `make demo` calls: Airflow, six jobs, an inbox, and every alert shown arriving."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import traceback

NEEDED = {"airflow": "apache-airflow", "psycopg": "psycopg", "aiosmtpd": "aiosmtpd", "airflow_jobmon": "this project"}
STOPPED, NOT_ALL_CAME, CANNOT_START = 130, 1, 2


def main() -> int:
    options = _arguments().parse_args()
    missing = [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        print(
            f"the demo needs {', '.join(missing)}, which this Python ({sys.executable}) does not have; run `make demo`",
            file=sys.stderr,
        )
        return CANNOT_START

    from demo.place import CannotStart  # noqa: PLC0415 - what follows needs everything to be installed
    from demo.play import LOGS, play  # noqa: PLC0415
    from demo.postgres import PostgresUnavailable  # noqa: PLC0415
    from demo.programs import ProgramFailed, TookTooLong  # noqa: PLC0415
    from demo.signals import Stopped, stop_on_signals  # noqa: PLC0415

    stop_on_signals()
    try:
        return 0 if play(options) else NOT_ALL_CAME
    except Stopped:
        return STOPPED
    except (CannotStart, PostgresUnavailable) as problem:
        print(f"the demo cannot start: {problem}", file=sys.stderr)
        return CANNOT_START
    except (ProgramFailed, TookTooLong) as problem:
        print(f"the demo failed: {problem}", file=sys.stderr)
        return NOT_ALL_CAME
    except Exception as problem:  # noqa: BLE001 - a newcomer is owed a sentence, and the traceback is kept
        LOGS.mkdir(parents=True, exist_ok=True)
        (LOGS / "demo.log").write_text(traceback.format_exc())
        reason = (str(problem).splitlines() or [""])[0]
        print(f"the demo failed: {type(problem).__name__}: {reason} (logs: {LOGS})", file=sys.stderr)
        return NOT_ALL_CAME


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m demo",
        description="Starts Airflow, a Postgres with six jobs and an inbox; shows each alert arriving; stays up.",
        epilog="Exit codes: 0 every expected alert came, 1 one did not, 2 it could not start, 130 interrupted.",
    )
    once = os.environ.get("ONCE", "") not in {"", "0"}
    parser.add_argument("--once", action="store_true", default=once, help="end after the last act (also: ONCE=1)")
    for name, what in (("airflow", "Airflow's page"), ("inbox", "the inbox"), ("smtp", "its mail server")):
        variable = f"{name.upper()}_PORT"
        default = {"airflow": 8080, "inbox": 8025, "smtp": 1025}[name]
        parser.add_argument(
            f"--{name}-port",
            type=int,
            default=int(os.environ.get(variable) or default),
            metavar="PORT",
            help=f"where {what} is (default {default}; also: {variable})",
        )
    return parser


if __name__ == "__main__":
    sys.exit(main())
