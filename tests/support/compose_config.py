"""docker-compose.yaml as Docker Compose itself reads it, without a container engine."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yaml"
LINTERS = ROOT / ".cache" / "linters" / "bin"
_COMPOSE = ROOT / ".cache" / "linters" / "compose" / "docker-compose"


def linter(name: str) -> Path:
    found = LINTERS / name
    if not found.exists():
        pytest.fail(f"there is no {name} in {LINTERS}; run: make extras")
    return found


def make_env() -> dict[str, str]:
    """What docker/make-env writes: everything that has to be set, by fresh secrets."""
    made = subprocess.run([ROOT / "docker" / "make-env"], capture_output=True, text=True, check=True).stdout
    lines = [line for line in made.splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def compose_config(env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """`docker compose config` with exactly these variables."""
    if not _COMPOSE.exists():
        pytest.fail(f"there is no {_COMPOSE}; run: make extras")
    return subprocess.run(
        [_COMPOSE, "--file", FILE, "--env-file", os.devnull, "config", "--format", "json"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **env},
        timeout=60,
    )


def composed(env: Mapping[str, str]) -> dict[str, Any]:
    """The resolved file."""
    done = compose_config(env)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found
