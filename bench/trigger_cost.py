"""What the triggers cost a job: committing a run with and without them, by pgbench, in alternating rounds."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psycopg

from bench.environment import BenchEnvironment, BenchFailed, bench_environment
from bench.figures import Figure, milliseconds, percentile

ROUNDS = 24
SECONDS = 2
_START = """\\set job random(1, 100)
INSERT INTO public.jobs_log (job_name) VALUES ('job-' || :job) RETURNING id AS run \\gset
"""
SCRIPTS = {
    "successful": _START
    + "UPDATE public.jobs_log SET status = 'success', completed_at = clock_timestamp(), records_updated = 40"
    " WHERE id = :run;\n",
    "failed": _START
    + "UPDATE public.jobs_log SET status = 'failed', completed_at = clock_timestamp(), error_message = 'timed out'"
    " WHERE id = :run;\n",
}
"""A run as a job logs it: two transactions, each committed."""


_MANY = 5000
_LOOP = f"""
DO $$
DECLARE run uuid;
BEGIN
    FOR n IN 1..{_MANY} LOOP
        INSERT INTO public.jobs_log (job_name) VALUES ('job-' || n) RETURNING id INTO run;
        UPDATE public.jobs_log SET status = 'success', completed_at = clock_timestamp() WHERE id = run;
    END LOOP;
END $$
"""


def measure(say: Callable[[str], None]) -> Sequence[Figure]:
    with bench_environment() as place:
        databases = ("bare", "watched")
        for name in databases:
            place.create_database(name)
            place.airflow("jobmon", "migrate", "--create-jobs-log", env=place.environment(name))
        with psycopg.connect(place.server.conninfo("bare"), autocommit=True) as conn:
            conn.execute("ALTER TABLE public.jobs_log DISABLE TRIGGER USER")
        figures = [_figure(place, say, outcome, clients, databases) for outcome in SCRIPTS for clients in (1, 16)]
        return [*figures, _without_commits(place, databases)]


def _figure(
    place: BenchEnvironment, say: Callable[[str], None], outcome: str, clients: int, databases: Sequence[str]
) -> Figure:
    say(f"{outcome} runs, {clients} client(s): {ROUNDS} rounds of {SECONDS} s each way")
    script = place.directory / f"{outcome}.sql"
    script.write_text(SCRIPTS[outcome])
    found: dict[str, list[float]] = {name: [] for name in databases}
    for number in range(ROUNDS + 1):
        for name in databases if number % 2 else reversed(databases):
            _empty(place, name)
            latency = _pgbench(place, name, script, clients)
            if number:  # the first round warms up
                found[name].append(latency)
    # Whatever else runs on this machine only ever adds time, so the quieter quarter of the rounds says most.
    bare, watched = (percentile(found[name], 0.25) for name in databases)
    ratio = watched / bare
    limit = {("successful", 1): 1.05, ("successful", 16): 1.05, ("failed", 1): 2.0}.get((outcome, clients))
    return Figure(
        f"a committed {outcome} run (INSERT, UPDATE), {clients} client{'s' * (clients > 1)}",
        f"<= {limit:g} x no trigger" if limit else "reported",
        milliseconds(watched),
        f"{milliseconds(bare)} (no trigger)",
        f"{ratio:.3f}",
        None if limit is None else ratio <= limit,
    )


def _without_commits(place: BenchEnvironment, databases: Sequence[str]) -> Figure:
    """What the triggers alone take of the server's time, which committing (two waits for the disk) hides in noise."""
    found: dict[str, list[float]] = {name: [] for name in databases}
    for number in range(ROUNDS + 1):
        for name in databases if number % 2 else reversed(databases):
            _empty(place, name)
            with psycopg.connect(place.server.conninfo(name), autocommit=True) as conn:
                began = time.monotonic()
                conn.execute(_LOOP.encode())
                if number:
                    found[name].append((time.monotonic() - began) / _MANY)
    bare, watched = (percentile(found[name], 0.25) for name in databases)
    return Figure(
        "a successful run in the server, commits left out",
        "reported",
        f"{watched * 1e6:.0f} µs",
        f"{bare * 1e6:.0f} µs (no trigger)",
        f"{watched / bare:.3f}",
    )


def _empty(place: BenchEnvironment, database: str) -> None:
    """Each round starts from the same state; nothing consumes events here."""
    with psycopg.connect(place.server.conninfo(database), autocommit=True) as conn:
        conn.execute("TRUNCATE public.jobs_log, airflow_jobmon.events")
        conn.execute("CHECKPOINT")


def _pgbench(place: BenchEnvironment, database: str, script: Path, clients: int) -> float:
    """Mean seconds one run took."""
    server = place.server
    done = subprocess.run(
        [
            *(server.program("pgbench"), "--no-vacuum", "--protocol=prepared"),
            *("--client", str(clients), "--jobs", "1", "--time", str(SECONDS), "--file", script),
            *("--host", "127.0.0.1", "--port", str(server.port), "--username", "postgres", database),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    latency = re.search(r"latency average = ([\d.]+) ms", done.stdout)
    if latency is None:
        raise BenchFailed(f"pgbench failed: {done.stderr.strip()[-300:]}")
    return float(latency[1]) / 1000
