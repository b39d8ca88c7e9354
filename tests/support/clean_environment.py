"""A virtual environment with the wheel installed; nothing of the checkout is on its path."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")


def uv(*args: str | Path) -> None:
    done = subprocess.run([UV, *args], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"uv {args[0]} failed, is a package registry in reach?\n{done.stderr[-3000:]}")


class Installed:
    """`wanted` is what uv installs beside the wheel, with its options; `home` is an AIRFLOW_HOME that has nothing."""

    def __init__(self, directory: Path, wheel: Path, *wanted: str, **settings: str) -> None:
        self.bin = directory / "venv" / "bin"
        self.home = directory / "home"
        self.home.mkdir()
        self.environment = {
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "HOME": os.environ.get("HOME", "/"),
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "COLUMNS": "200",
            **settings,
        }
        uv("venv", "--quiet", "--python", sys.executable, directory / "venv")
        uv("pip", "install", "--quiet", "--python", str(self.bin / "python"), *wanted, wheel)

    def run(self, program: str, *args: str | Path) -> str:
        done = subprocess.run(
            [self.bin / program, *args],
            cwd=self.home,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
