"""Seconds that a DAG file needs to import from this package, compared with importing airflow.sdk."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence

from bench.figures import Figure, milliseconds

REPEATS = 7
_DAG_NEEDS = ("assets", "jobs", "notifiers", "operators", "sensors")
_CODE = """
import time
import airflow.sdk
from airflow.sdk import DAG, BaseOperator, BaseSensorOperator, Asset, AssetWatcher
before = time.perf_counter()
{}
print(time.perf_counter() - before)
"""


def measure(say: Callable[[str], None]) -> Sequence[Figure]:
    say(f"{REPEATS} fresh processes")
    needed = _seconds("\n".join(f"import airflow_jobmon.{name}" for name in _DAG_NEEDS))
    return [
        Figure(
            "import of all that a DAG may need, over airflow.sdk", "< 150 ms", milliseconds(needed), holds=needed < 0.15
        )
    ]


def _seconds(code: str) -> float:
    """Median of several fresh processes, with bytecode already written."""
    found = []
    for _ in range(REPEATS + 1):
        done = subprocess.run(
            [sys.executable, "-c", _CODE.format(code)],
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""},
            capture_output=True,
            text=True,
            check=True,
        )
        found.append(float(done.stdout.split()[-1]))
    return statistics.median(found[1:])
