"""`python -m bench [NAME...]`: measure all figures, or those named, and print them as a table."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys
import time
from functools import partial

from bench.environment import BenchFailed
from bench.figures import Figure, Measure, table

FIGURES = {
    "latency-listen": "latency_listen",
    "trigger-cost": "trigger_cost",
    "burst": "burst",
    "check-10k": "check_10k",
    "archive": "archive",
    "http": "http",
    "sensors": "sensors",
    "import": "imports",
    "false-alarms": "false_alarms",
    "latency-dag": "latency_dag",
}
"""By name, the module that measures it: quick ones first, the one that needs a whole Airflow last."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(FIGURES))
    names = parser.parse_args().names or list(FIGURES)
    if unknown := [name for name in names if name not in FIGURES]:
        parser.error(f"there is no figure {', '.join(unknown)}; there are {', '.join(FIGURES)}")
    figures: list[Figure] = []
    failed = False
    for name in names:
        began = time.monotonic()
        measure: Measure = importlib.import_module(f"bench.{FIGURES[name]}").measure
        try:
            figures += measure(partial(_say, name))
        except BenchFailed as error:
            failed = True
            _say(name, str(error))
        _say(name, f"done in {time.monotonic() - began:.0f} s, load {os.getloadavg()[0]:.1f}")
    print(
        f"{time.strftime('%Y-%m-%d %H:%M')}, {os.cpu_count()} cores, {platform.system()}, Python "
        f"{platform.python_version()}, load at the end {os.getloadavg()[0]:.1f}\n"
    )
    print(table(figures))
    return 1 if failed or any(figure.holds is False for figure in figures) else 0


def _say(name: str, text: str) -> None:
    print(f"{name}: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
