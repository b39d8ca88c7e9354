"""Commands called in this process through Airflow's own parser."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.logged_runs import log_run


@pytest.fixture(scope="session")
def parser(airflow_home):
    from airflow.cli.cli_parser import get_parser

    return get_parser()


@pytest.fixture
def jobmon(parser, jobmon_default, monkeypatch, capsys) -> Callable[..., Namespace]:
    """Call a command against `database`; returns its exit code (code), stdout (out) and stderr (err)."""
    # The commands set it; monkeypatch restores the old value after the test.
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "")
    monkeypatch.delenv("_AIRFLOW_PROCESS_CONTEXT")

    def call(*args: str | Path) -> Namespace:
        parsed = parser.parse_args(["jobmon", *map(str, args)])
        capsys.readouterr()
        try:
            parsed.func(parsed)
            code = 0
        except SystemExit as ended:
            code = ended.code
        printed = capsys.readouterr()
        return Namespace(code=code, out=printed.out, err=printed.err)

    return call


@pytest.fixture
def jobs_file(tmp_path) -> Path:
    """Two jobs, `nightly` and `often`."""
    path = tmp_path / "jobs.yaml"
    path.write_text("jobs:\n- name: nightly\n  every: 1d\n- {name: often, every: 15m, owner: billing}\n")
    return path


@pytest.fixture
def failing(jobmon, conn, monkeypatch):
    """A job `nightly` with one open incident, and a channel."""
    monkeypatch.setenv("AIRFLOW__JOBMON__CHANNELS", "pager")
    log_run(conn, "nightly", "failed", error_message="disk full")
    jobmon("check", "--record")
