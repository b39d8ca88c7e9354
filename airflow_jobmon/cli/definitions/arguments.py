"""Arguments that several commands share."""

from __future__ import annotations

from airflow.cli.cli_config import Arg

CONN_ID = Arg(
    ("--conn-id",),
    metavar="ID",
    help="Connection (type postgres) to the job log's database (default: conn_id of section jobmon)",
)

ONLY_JOB = Arg(("--job",), metavar="JOB", help="Only this job")

LIMIT = Arg(("--limit",), metavar="N", type=int, default=50, help="At most this many, newest first (default: 50)")
