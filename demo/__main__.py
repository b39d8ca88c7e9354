"""`python -m demo`, which `make demo` calls: Airflow, six jobs, an inbox, and every alert shown arriving."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import traceback

from demo.preconditions import CannotStart, parse_port, refuse_equal_ports

NEEDED = {"airflow": "apache-airflow", "psycopg": "psycopg", "aiosmtpd": "aiosmtpd", "airflow_jobmon": "this project"}
PORTS = {"airflow": (8080, "Airflow's page"), "inbox": (8025, "the inbox"), "smtp": (1025, "its mail server")}
STOPPED, NOT_ALL_CAME, CANNOT_START = 130, 1, 2


def main() -> int:
    options = _arguments()
    missing = [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        print(
            f"the demo needs {', '.join(missing)}, which this Python ({sys.executable}) does not have; run `make demo`",
            file=sys.stderr,
        )
        return CANNOT_START

    from demo.programs import ProgramFailed, TookTooLong  # noqa: PLC0415
    from demo.run_demo import LOGS, run_demo  # noqa: PLC0415 - needs everything to be installed
    from demo.signals import Stopped, stop_on_signals  # noqa: PLC0415
    from tests.support.postgres_programs import PostgresUnavailable  # noqa: PLC0415

    stop_on_signals()
    try:
        return 0 if run_demo(options) else NOT_ALL_CAME
    except Stopped:
        return STOPPED
    except (CannotStart, PostgresUnavailable) as problem:
        print(f"the demo cannot start: {problem}", file=sys.stderr)
        return CANNOT_START
    except (ProgramFailed, TookTooLong) as problem:
        print(f"the demo failed: {problem}", file=sys.stderr)
        return NOT_ALL_CAME
    except Exception as problem:  # noqa: BLE001 - print one sentence; the log keeps the traceback
        LOGS.mkdir(parents=True, exist_ok=True)
        (LOGS / "demo.log").write_text(traceback.format_exc())
        reason = (str(problem).splitlines() or [""])[0]
        print(f"the demo failed: {type(problem).__name__}: {reason} (logs: {LOGS})", file=sys.stderr)
        return NOT_ALL_CAME


def _arguments() -> argparse.Namespace:
    """Read the command line and the environment; exit with one sentence if a port is invalid."""
    parser = argparse.ArgumentParser(
        prog="python -m demo",
        description="Starts Airflow, a Postgres with six jobs and an inbox; shows each alert as it arrives; stays up.",
        epilog="Exit codes: 0 every expected alert arrived, 1 one did not, 2 it could not start, 130 interrupted.",
    )
    once = os.environ.get("ONCE", "") not in {"", "0"}
    parser.add_argument("--once", action="store_true", default=once, help="end after the last step (also: ONCE=1)")
    for name, (default, what) in PORTS.items():
        variable = f"{name.upper()}_PORT"
        parser.add_argument(
            f"--{name}-port", metavar="PORT", help=f"port of {what} (default {default}; also: {variable})"
        )
    options = parser.parse_args()
    try:
        _read_ports(options)
    except CannotStart as problem:
        parser.exit(CANNOT_START, f"the demo cannot start: {problem}\n")
    return options


def _read_ports(options: argparse.Namespace) -> None:
    """Put the port numbers into `options`; raise CannotStart if one is invalid, or two are equal."""
    chosen: dict[str, int] = {}
    for name, (default, _) in PORTS.items():
        option, variable = getattr(options, f"{name}_port"), f"{name.upper()}_PORT"
        source = variable if option is None else f"--{name}-port"
        text = (os.environ.get(variable) or str(default)) if option is None else option
        chosen[source] = parse_port(text, source)
        setattr(options, f"{name}_port", chosen[source])
    refuse_equal_ports(chosen)


if __name__ == "__main__":
    sys.exit(main())
