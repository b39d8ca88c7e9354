"""The audit's report, and which drills reach every channel."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_jobmon.core.model.health import Health
from airflow_jobmon.core.rendering.report_text import report_text
from airflow_jobmon.core.reports.audit import (
    Audit,
    ExportedFile,
    NewError,
    archive_part,
    audit_report,
    drill_part,
    jobs_reaching_every_channel,
)

AT = datetime(2026, 12, 1, 9, tzinfo=UTC)
ARCHIVED = {"runs": 1200, "job_count": 2, "before": "2026-09-02T09:00:00Z", "dry_run": False, "to": None, "refused": {}}


def step(name: str, *, ok: bool = True, seconds: float | None = 0.2) -> dict[str, object]:
    return {
        "step": name,
        "expected": "within 1m",
        "observed": "accepted" if ok else "404",
        "seconds": seconds,
        "ok": ok,
    }


def an_audit(**changes: object) -> Audit:
    fields = {
        "job_name": None,
        "healths": [],
        "since": datetime(2026, 11, 1, 9, tzinfo=UTC),
        "files": [ExportedFile("success_rate.csv", 3, "ab" * 32)],
        "kept_at": "s3://audits/2026-12-01",
        "archive": archive_part(ARCHIVED),
        "drill": drill_part([[step("accepted by slack"), step("accepted by mail")]]),
        "errors": [],
    }
    return Audit(**(fields | changes))  # type: ignore[arg-type]


def test_an_audit_reports_what_was_done_and_verified():
    report = audit_report(an_audit(), at=AT, page=None)
    assert report.title == "Monthly audit: everything done and verified"
    assert report.severity is Health.OK
    text = report_text(report)
    assert "archived 1,200 runs of 2 jobs from before 2026-09-02T09:00:00Z" in text
    assert "2 test alerts accepted" in text
    assert "success_rate.csv" in text
    assert "no new error texts since the last audit (2026-11-01T09:00:00Z)" in text


def test_new_error_texts_are_for_the_runbook():
    errors = [NewError("load", "no space\nleft", 3, AT)]
    report = audit_report(an_audit(errors=errors, since=None), at=AT, page=None)
    assert report.severity is Health.WARNING
    assert "load, 3 runs since 2026-12-01T09:00:00Z: no space left" in report_text(report)
    assert "this is the first audit" in report.summary


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"archive": archive_part(None)}, "archive: it did not finish", id="the archive did not finish"),
        pytest.param(
            {"archive": archive_part(ARCHIVED | {"refused": {"violates foreign key": 2}})},
            "archive: 2 runs refused: violates foreign key",
            id="rows were refused",
        ),
        pytest.param({"drill": drill_part(None)}, "alert drill: it did not finish", id="no drill finished"),
        pytest.param({"drill": drill_part([[step("x")], None])}, "alert drill: it did not finish", id="one of two did"),
        pytest.param(
            {"drill": drill_part([[step("accepted by slack"), step("accepted by mail", ok=False)]])},
            "alert drill: accepted by mail: 404",
            id="an alert did not arrive",
        ),
        pytest.param(
            {"drill": drill_part([[step("accepted by slack")]], channels=frozenset({"slack", "mail", "hook"}))},
            "alert drill: no drill tested hook; see the task's logs; no drill tested mail",
            id="the drill for it left nothing",
        ),
    ],
)
def test_what_failed_or_was_not_verified_is_critical_and_listed_first(changes, said):
    report = audit_report(an_audit(**changes), at=AT, page=None)
    assert report.severity is Health.CRITICAL
    assert report.sections[0].heading == "Failed or not verified"
    assert report.sections[0].lines[0].startswith(said)
    assert report.details["problems"]


def test_an_audit_without_a_requested_drill_has_no_problem():
    report = audit_report(an_audit(drill=drill_part(None, wanted=False)), at=AT, page=None)
    assert (report.title, report.details["problems"]) == ("Monthly audit: done, without an alert drill", [])


def test_a_drill_that_no_channel_accepted_says_so():
    assert drill_part([[step("accepted by a channel", ok=False)]]).summary == "no test alert was accepted"


channels = st.frozensets(st.sampled_from("abcdef"), max_size=4)


@given(st.dictionaries(st.sampled_from(["x", "y", "z"]), channels), channels, st.sampled_from(["x", "other", None]))
def test_the_chosen_jobs_reach_every_channel_and_none_is_chosen_twice(reached, usual, first):
    chosen = jobs_reaching_every_channel(reached, usual, first)
    got = frozenset().union(*(reached.get(name, usual) for name in chosen))
    assert got >= usual.union(*reached.values())
    assert len(set(chosen)) == len(chosen)
    assert first is None or chosen[0] == first
