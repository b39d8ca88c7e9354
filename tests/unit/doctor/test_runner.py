"""The doctor runs each check on its own: one that fails or hangs does not affect the others."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from airflow_jobmon.doctor.checks import AIRFLOW_CHECKS, DATABASE_CHECKS, Check, Need
from airflow_jobmon.doctor.installation import CheckedInstallation
from airflow_jobmon.doctor.result import (
    CheckResult,
    CheckState,
    error_text,
    from_error,
    not_checked,
    ok,
    warning,
    wrong,
)
from airflow_jobmon.doctor.runner import CheckThread, downgrade_wrong, run_check
from airflow_jobmon.errors import ConnectionProblem
from airflow_jobmon.settings import Settings


@pytest.fixture
def installation() -> CheckedInstallation:
    return CheckedInstallation("jobmon_default", Settings())


def fine(_: CheckedInstallation) -> list[CheckResult]:
    return [ok("fine")]


def timed_out(seconds: float) -> CheckResult:
    return wrong(f"timed out after {seconds:.1f} s", "wait")


def raising(error: Exception):
    def check(_: CheckedInstallation) -> list[CheckResult]:
        raise error

    return check


@pytest.mark.parametrize(
    ("error", "seen", "advice"),
    [
        pytest.param(
            ConnectionProblem("cannot connect to x: refused; is it running?"),
            "cannot connect to x: refused",
            "is it running?",
            id="ours",
        ),
        pytest.param(ConnectionProblem("no advice"), "no advice", "correct that", id="ours, without advice"),
        pytest.param(KeyError("x"), "could not be checked: KeyError: 'x'", "repair", id="a mistake"),
        pytest.param(ValueError("one\ntwo"), "could not be checked: ValueError: one", "repair", id="several lines"),
        pytest.param(RuntimeError(), "could not be checked: RuntimeError", "repair", id="no text"),
        pytest.param(
            psycopg.OperationalError("gone\nagain"), "could not be checked: gone", "repair", id="the driver's"
        ),
        pytest.param(
            ValueError("postgres://app:hunter2@db/x is odd"),
            "ValueError: postgres://app:***@db/x",
            "repair",
            id="a secret",
        ),
    ],
)
def test_a_check_that_raises_is_wrong_in_one_line(installation, error, seen, advice):
    [result] = run_check(Check("it", raising(error)), installation)
    assert result.state is CheckState.WRONG
    assert seen in result.seen
    assert advice in result.advice


def test_a_check_that_raises_after_its_first_result_is_wrong(installation):
    def check(_: CheckedInstallation):
        yield ok("the first half")
        raise ValueError("broken")

    assert [result.state for result in run_check(Check("it", check), installation)] == [CheckState.WRONG]


def test_the_checks_after_one_that_raises_are_run(installation):
    checks = [Check("bad", raising(ValueError("bad"))), Check("good", fine)]
    thread = CheckThread(checks, installation, timed_out=timed_out)
    thread.start()
    assert [result.state for result in thread.results(60, 0)] == [CheckState.WRONG, CheckState.OK]


@pytest.mark.parametrize("need", [need for need in Need if need is not Need.NOTHING])
def test_a_check_whose_need_is_not_met_is_not_run(installation, need):
    [result] = run_check(Check("it", raising(AssertionError("it was run")), need), installation)
    assert result == replace(not_checked(need.value), check="it")


def test_a_check_that_hangs_is_abandoned(installation):
    release = threading.Event()

    def hang(_: CheckedInstallation) -> list[CheckResult]:
        release.wait(30)
        return []

    thread = CheckThread(
        [Check("first", fine), Check("hanging", hang), Check("last", fine)], installation, timed_out=timed_out
    )
    thread.start()
    results = thread.results(0.5, 1)
    release.set()
    assert results == [
        replace(ok("fine"), check="first"),
        replace(wrong("timed out after 1.5 s", "wait"), check="hanging"),
        replace(not_checked("'hanging' did not finish"), check="last"),
    ]
    thread.join(60)


def test_wrong_results_of_airflow_are_warnings_while_other_processes_deliver():
    results = [
        replace(wrong("none", "add one"), check="dag"),
        replace(warning("full", "more"), check="capacity"),
        replace(ok("yes"), check="scheduler"),
    ]
    assert downgrade_wrong(results, []) == results
    dag, *others = downgrade_wrong(results, ["listen on a", "listen on b"])
    assert others == results[1:]
    assert dag.state is CheckState.WARNING
    assert dag.seen == "none (meanwhile, alerts are delivered by listen on a and listen on b)"


def test_the_last_part_of_our_errors_is_the_advice():
    assert from_error(ConnectionProblem("a; b; c")) == wrong("a; b", "c")


def test_an_error_text_is_cut():
    assert len(error_text(ValueError("x" * 5000))) == 300


@pytest.mark.parametrize(
    "check", [check.name for check in (*DATABASE_CHECKS, *AIRFLOW_CHECKS) if check.name != "airflow database"]
)
def test_every_check_is_documented(check):
    text = (Path(__file__).parents[3] / "docs" / "doctor.md").read_text()
    assert f"`{check}`" in text or f"`{check} NAME`" in text
