"""Links from alerts to the section of the runbook about their kind."""

from __future__ import annotations

SECTIONS = {
    "failed": "failed",
    "missed": "missed",
    "late": "missed",
    "stuck": "stuck",
    "slow": "slow",
    "rising_duration": "slow",
    "low_success_rate": "success-rate",
    "falling_success_rate": "success-rate",
    "zero_records": "records",
    "falling_records": "records",
    "unknown_status": "dashboard-not-updating",
    "undelivered": "alert-not-received",
}
"""Kind of finding or alert to the anchor in docs/runbook.md."""


def runbook_section(base_url: str | None, kind: str) -> str | None:
    """The URL of that section in Airflow; None where Airflow's own URL is not configured."""
    return f"{base_url}/jobmon/runbook#{SECTIONS.get(kind, 'failed')}" if base_url else None
