"""Arguments that several commands share."""

from __future__ import annotations

from argparse import ArgumentTypeError

from airflow.cli.cli_config import Arg

CONN_ID = Arg(
    ("--conn-id",),
    metavar="ID",
    help="Connection (type postgres) to the job log's database (default: conn_id of section jobmon)",
)

ONLY_JOB = Arg(("--job",), metavar="JOB", help="Only this job")


def incident_number(text: str) -> int:
    """As `incidents` numbers them."""
    if text.isdecimal() and 0 < int(text) < 2**63:
        return int(text)
    raise ArgumentTypeError(f"{text!r} is no incident's number; `airflow jobmon incidents` shows them")


LIMIT = Arg(("--limit",), metavar="N", type=int, default=50, help="At most this many, newest first (default: 50)")
