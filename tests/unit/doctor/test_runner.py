"""The doctor's checks are made each on its own: one that fails or hangs costs no other."""

from __future__ import annotations

import threading
from pathlib import Path

import psycopg
import pytest

from airflow_jobmon.doctor.checks import AIRFLOW, DATABASE
from airflow_jobmon.doctor.installation import Patient
from airflow_jobmon.doctor.result import Diagnosis, State, explained, not_checked, ok, reason, warning, wrong
from airflow_jobmon.doctor.runner import Check, Need, Result, Round, make, softened
from airflow_jobmon.errors import ConnectionProblem
from airflow_jobmon.settings import Settings


@pytest.fixture
def patient() -> Patient:
    return Patient("jobmon_default", Settings())


def fine(_: Patient) -> list[Diagnosis]:
    return [ok("fine")]


def silent(seconds: float) -> Diagnosis:
    return wrong(f"silent for {seconds:.1f} s", "wait")


def raising(error: Exception):
    def look(_: Patient) -> list[Diagnosis]:
        raise error

    return look


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
        pytest.param(RuntimeError(), "could not be checked: RuntimeError", "repair", id="no words"),
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
def test_a_check_that_raises_is_wrong_in_one_line(patient, error, seen, advice):
    [result] = make(Check("it", raising(error)), patient)
    assert result.diagnosis.state is State.WRONG
    assert seen in result.diagnosis.seen
    assert advice in result.diagnosis.advice


def test_a_check_that_raises_half_way_through_says_so(patient):
    def look(_: Patient):
        yield ok("the first half")
        raise ValueError("broken")

    assert [result.diagnosis.state for result in make(Check("it", look), patient)] == [State.WRONG]


def test_the_checks_after_one_that_raises_are_made(patient):
    checks = [Check("bad", raising(ValueError("bad"))), Check("good", fine)]
    made = Round(checks, patient, silent=silent)
    made.start()
    assert [result.diagnosis.state for result in made.results(60, 0)] == [State.WRONG, State.OK]


@pytest.mark.parametrize("need", [need for need in Need if need is not Need.NOTHING])
def test_a_check_whose_ground_was_not_reached_is_not_made(patient, need):
    [result] = make(Check("it", raising(AssertionError("it was made")), need), patient)
    assert result.diagnosis == not_checked(need.value)


def test_a_check_that_hangs_is_left_behind(patient):
    release = threading.Event()

    def hang(_: Patient) -> list[Diagnosis]:
        release.wait(30)
        return []

    made = Round([Check("first", fine), Check("hanging", hang), Check("last", fine)], patient, silent=silent)
    made.start()
    results = made.results(0.5, 1)
    release.set()
    assert results == [
        Result("first", ok("fine")),
        Result("hanging", wrong("silent for 1.5 s", "wait")),
        Result("last", not_checked("'hanging' did not end")),
    ]
    made.join(60)


def test_what_is_wrong_in_airflow_is_a_warning_while_somebody_delivers_without_it():
    results = [
        Result("dag", wrong("none", "add one")),
        Result("room", warning("full", "more")),
        Result("up", ok("yes")),
    ]
    assert softened(results, []) == results
    dag, *others = softened(results, ["listen on a", "listen on b"])
    assert others == results[1:]
    assert dag.diagnosis.state is State.WARNING
    assert dag.diagnosis.seen == "none (alerts are delivered meanwhile by listen on a and listen on b)"


def test_an_error_of_ours_gives_its_last_part_as_advice():
    assert explained(ConnectionProblem("a; b; c")) == wrong("a; b", "c")


def test_a_reason_is_cut():
    assert len(reason(ValueError("x" * 5000))) == 300


@pytest.mark.parametrize("check", [check.name for check in (*DATABASE, *AIRFLOW) if check.name != "airflow database"])
def test_what_every_check_means_is_written_down(check):
    text = (Path(__file__).parents[3] / "docs" / "doctor.md").read_text()
    assert f"`{check}`" in text or f"`{check} NAME`" in text
