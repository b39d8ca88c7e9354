"""Exporting runs to files: what the files hold, and that rows leave the log only for files that were read back."""

from __future__ import annotations

import contextlib
import csv
import gzip
import hashlib
import io
import json
import resource
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from airflow_jobmon.archive.archiving import archive_runs
from airflow_jobmon.archive.part_file import count_rows
from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.errors import ArchiveProblem, ConfigurationError, StorageProblem
from airflow_jobmon.metrics.job_metrics import job_metrics
from airflow_jobmon.monitoring.checks import assess_jobs
from airflow_jobmon.postgres import schema
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.day_stats import seal_days
from airflow_jobmon.postgres.registry import apply_jobs
from airflow_jobmon.runtime.storage import StorageFolder
from airflow_jobmon.settings import Settings
from tests.db.archive.test_archiving import ago, log_days, rich, rich_log  # noqa: F401
from tests.support.hostile_alerts import NASTY
from tests.support.logged_runs import log_run
from tests.support.trigger_events import Conn


def export(conn: Conn, target: Path | str, **options: Any) -> Any:
    uri = target if isinstance(target, str) else f"file://{target}"
    return archive_runs(conn, "90d", to=uri, open_folder=StorageFolder, **options)


def manifests(target: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(target.glob("*/manifest.json"))]


def exported(target: Path) -> list[dict[str, str]]:
    """Every row of every part that a manifest lists, once its checksum and its count are right."""
    rows: list[dict[str, str]] = []
    for path in target.glob("*/manifest.json"):
        for part in json.loads(path.read_text())["parts"]:
            content = (path.parent / part["name"]).read_bytes()
            assert (len(content), hashlib.sha256(content).hexdigest()) == (part["bytes"], part["sha256"])
            found = list(csv.DictReader(io.StringIO(gzip.decompress(content).decode(), newline="")))
            assert len(found) == part["runs"]
            rows += found
    return rows


def part_files(target: Path) -> list[str]:
    return sorted(path.name for path in target.glob("*/part-*"))


def live(conn: Conn) -> list[str]:
    return [key for (key,) in conn.execute("SELECT id::text FROM public.jobs_log ORDER BY 1")]


def test_old_runs_are_in_a_file_with_a_manifest_and_no_longer_in_the_log(conn, tmp_path):
    old = log_days(conn, "sync", 200, 100, records_updated=5)
    [new] = log_days(conn, "sync", 1)
    report = export(conn, tmp_path)
    assert (report.runs, report.parts, report.jobs) == (2, 1, {"sync": 2})
    assert live(conn) == [new]
    assert sorted(row["id"] for row in exported(tmp_path)) == sorted(old)
    [manifest] = manifests(tmp_path)
    assert report.manifest == f"file://{next(tmp_path.glob('*/manifest.json'))}"
    assert (manifest["complete"], manifest["runs"], manifest["table"]) == (True, 2, "public.jobs_log")
    assert conn.execute("SELECT count(*) FROM airflow_jobmon.jobs_log_archive").fetchone() == (0,)


def test_an_export_without_runs_leaves_no_file_and_no_journal(conn, tmp_path):
    log_days(conn, "sync", 200)
    log_run(conn, "sync", "running", ago(days=300))
    assert export(conn, tmp_path / "there").manifest is None
    assert not (tmp_path / "there").exists()
    assert conn.execute("SELECT count(*) FROM airflow_jobmon.archive_exports").fetchone() == (0,)


def test_a_dry_run_writes_nothing(conn, tmp_path):
    log_days(conn, "sync", 200, 1)
    assert export(conn, tmp_path / "there", dry_run=True).runs == 1
    assert not (tmp_path / "there").exists()


def test_hostile_text_is_restored_from_the_file_unchanged(conn, tmp_path):
    texts = [text for text in NASTY if "\x00" not in text and "\ud800" not in text]
    texts += ["", '"', '""\r\n"', "=1+1", "a,b", "x" * 300_000]
    ids = {log_run(conn, text[:800], "failed", ago(days=200), error_message=text): text for text in texts}
    for text in texts:
        log_run(conn, text[:800], started_at=ago(days=1))
    [nothing] = log_days(conn, "sync", 200)
    log_days(conn, "sync", 1)
    export(conn, tmp_path)
    csv.field_size_limit(1_000_000)
    rows = {row["id"]: row for row in exported(tmp_path)}
    assert {key: rows[key]["error_message"] for key in ids} == ids
    assert {key: rows[key]["job_name"] for key in ids} == {key: text[:800] for key, text in ids.items()}
    assert rows[nothing]["error_message"] == ""
    [path] = tmp_path.glob("*/part-*")
    lines = gzip.decompress(path.read_bytes())
    assert lines.count(b"\r\n") >= len(texts) + 2
    assert b',"success",\r\n' in lines, "null is an empty field without quotes"


def test_a_file_is_loaded_back_as_the_documentation_says(rich_log, tmp_path):  # noqa: F811
    before = rich(rich_log)
    rich_log.execute("SET extra_float_digits = -5; SET IntervalStyle = 'sql_standard'; SET bytea_output = 'escape'")
    assert export(rich_log, tmp_path).runs == 10
    rich_log.execute("RESET extra_float_digits; RESET IntervalStyle; RESET bytea_output")
    assert len(rich(rich_log)) == 1
    [path] = tmp_path.glob("*/part-*")
    columns = [c for table in manifests(tmp_path)[0]["columns"].values() for c in table]
    own = ", ".join('"' + c["name"].replace('"', '""') + '"' for c in columns if not c["generated"])
    with rich_log.transaction():
        rich_log.execute("SELECT airflow_jobmon.archive_settings()")
        rich_log.execute(b'CREATE TEMP TABLE back (LIKE public."Job %s Log") ON COMMIT DROP')
        with rich_log.cursor().copy("COPY back FROM STDIN (FORMAT csv, HEADER match)") as copy:
            copy.write(gzip.decompress(path.read_bytes()))
        insert = f'INSERT INTO public."Job %s Log" ({own}) OVERRIDING SYSTEM VALUE SELECT {own} FROM back'
        rich_log.execute(insert.encode())
    assert rich(rich_log) == before


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        pytest.param("file:///proc/no/such/place", "cannot write file:///proc/no/such/place", id="no such place"),
        pytest.param("file:///dev/null/x", "cannot write file:///dev/null/x", id="not a folder"),
        pytest.param("nosuch://bucket/x", "cannot open nosuch://bucket/x", id="unknown scheme"),
        pytest.param("s3://bucket/x", r"cannot \w+ s3://bucket/x", id="a scheme whose provider is missing"),
    ],
)
def test_a_target_out_of_reach_deletes_nothing(conn, target, complaint):
    log_days(conn, "sync", 200, 100, 1)
    before = live(conn)
    with pytest.raises(StorageProblem, match=complaint):
        export(conn, target)
    assert live(conn) == before
    assert conn.execute("SELECT count(*) FROM airflow_jobmon.archive_exports").fetchone() == (0,)


class Breaking(StorageFolder):
    """A real folder whose files can be spoiled between writing and reading."""

    def spoil(self, path: Path) -> None:
        raise NotImplementedError

    def child(self, name):
        return type(self)(f"{self.uri}/{name}")

    @contextlib.contextmanager
    def read(self, name):
        self.spoil(Path(self._path.path) / name)
        with super().read(name) as file:
            yield file


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def spoil_inside(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[12:40] = b"\xff" * 28
    path.write_bytes(bytes(content))


def swap(path: Path) -> None:
    path.write_bytes(gzip.compress(b'"id"\r\n"1"\r\n"2"\r\n'))


@pytest.mark.parametrize("spoil", [cut, flip, spoil_inside, swap, Path.unlink])
def test_a_part_that_reads_back_differently_is_removed_and_deletes_nothing(conn, tmp_path, spoil):
    log_days(conn, "sync", 200, 100, 1)
    before = live(conn)
    spoiling = type("Spoiling", (Breaking,), {"spoil": staticmethod(spoil)})
    with pytest.raises((ArchiveProblem, StorageProblem), match="part-00001"):
        archive_runs(conn, "90d", to=f"file://{tmp_path}", open_folder=spoiling)
    assert live(conn) == before
    assert part_files(tmp_path) == []
    assert export(conn, tmp_path).runs == 2


def test_a_row_that_changes_during_the_export_is_exported_with_the_change(conn, database, tmp_path):
    first, second, _ = log_days(conn, "sync", 200, 190, 1)
    changes = iter([first])

    class Meanwhile(Breaking):
        def spoil(self, path):
            for changed in changes:
                with connect(database) as job:
                    job.execute("UPDATE public.jobs_log SET records_updated = 7 WHERE id::text = %s", [changed])

    report = archive_runs(conn, "90d", to=f"file://{tmp_path}", open_folder=Meanwhile)
    assert report.runs == 2
    found = {row["id"]: row["records_updated"] for row in exported(tmp_path)}
    assert found == {first: "7", second: ""}


def test_locked_or_protected_rows_stay_and_are_in_no_file(conn, database, tmp_path):
    held, kept, refused, *free = log_days(conn, "sync", *range(200, 190, -1))
    log_days(conn, "sync", 1)
    conn.execute(
        "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF OLD.records_updated = 1 THEN RAISE EXCEPTION 'keep it'; END IF;"
        " IF OLD.records_updated = 2 THEN RETURN NULL; END IF; RETURN OLD; END $$"
    )
    conn.execute("CREATE TRIGGER refuse BEFORE DELETE ON public.jobs_log FOR EACH ROW EXECUTE FUNCTION public.refuse()")
    conn.execute("UPDATE public.jobs_log SET records_updated = 1 WHERE id::text = %s", [refused])
    conn.execute("UPDATE public.jobs_log SET records_updated = 2 WHERE id::text = %s", [kept])
    with psycopg.connect(database) as job:
        job.execute("UPDATE public.jobs_log SET records_updated = 3 WHERE id::text = %s", [held])
        report = export(conn, tmp_path)
    assert report.refused == {"keep it": 1}
    assert sorted(row["id"] for row in exported(tmp_path)) == sorted(free)
    assert {held, kept, refused} <= set(live(conn))


def test_the_next_export_cleans_up_after_one_whose_session_died(conn, database, tmp_path):
    log_days(conn, "sync", 200, 190, 1)
    before = live(conn)
    with connect(database) as dying:
        pid = dying.info.backend_pid

        class Dying(Breaking):
            def spoil(self, path):
                conn.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

        with pytest.raises(psycopg.OperationalError):
            archive_runs(dying, "90d", to=f"file://{tmp_path}", open_folder=Dying)
    assert live(conn) == before
    assert part_files(tmp_path) == ["part-00001.csv.gz"]
    said: list[str] = []
    assert export(conn, tmp_path, progress=said.append).runs == 2
    assert said[0].startswith("an interrupted export was completed: ")
    assert said[0].endswith("is empty")
    assert (len(part_files(tmp_path)), len(manifests(tmp_path)), len(exported(tmp_path))) == (1, 1, 2)


def test_a_manifest_that_could_not_be_written_is_written_by_the_next_export(conn, tmp_path):
    log_days(conn, "sync", 200, 190, 1)

    class Full(StorageFolder):
        def child(self, name):
            return type(self)(f"{self.uri}/{name}")

        @contextlib.contextmanager
        def write(self, name):
            if name == "manifest.json":
                raise StorageProblem("the disk is full")
            with super().write(name) as file:
                yield file

    with pytest.raises(StorageProblem, match="the disk is full"):
        archive_runs(conn, "90d", to=f"file://{tmp_path}", open_folder=Full)
    assert (len(live(conn)), part_files(tmp_path), manifests(tmp_path)) == (1, ["part-00001.csv.gz"], [])
    said: list[str] = []
    export(conn, tmp_path, progress=said.append)
    assert "manifest.json" in said[0]
    assert (len(exported(tmp_path)), [m["complete"] for m in manifests(tmp_path)]) == (2, [True])
    unfinished = conn.execute("SELECT count(*) FROM airflow_jobmon.archive_exports WHERE finished_at IS NULL")
    assert unfinished.fetchone() == (0,)


def test_a_full_disk_deletes_nothing_and_leaves_nothing(conn, tmp_path):
    log_days(conn, "sync", *range(400, 100, -1), error_message="".join(map(str, range(2000))))
    log_days(conn, "sync", 1)
    before = live(conn)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        with pytest.raises(StorageProblem, match=r"cannot write .*part-00001.* File too large"):
            export(conn, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert live(conn) == before
    assert part_files(tmp_path) == []
    assert export(conn, tmp_path).runs == 300


def test_daily_figures_and_rates_outlive_exported_runs(conn, tmp_path):
    apply_jobs(conn, [MonitoredJob(name="sync", every="1d", window_days=365)], source="test")
    for day in range(1, 300, 3):
        log_days(conn, "sync", day, day + 0.01, status="failed" if day % 7 == 0 else "success", seconds=day)
    views = ("daily_metrics", "success_rate", "performance_metrics", "failed_jobs", "recent_executions")

    def shown() -> Any:
        figures = [sorted(conn.execute(f"SELECT * FROM airflow_jobmon.{view}").fetchall(), key=str) for view in views]
        metrics = job_metrics(conn, Settings(), "sync", days=365, now=now)
        return (
            figures,
            [job.success_rate for job in assess_jobs(conn, Settings())],
            metrics["summary"],
            metrics["daily"],
        )

    now = datetime.now(UTC)
    before = shown()
    assert len(before[0][0]) > 60
    assert export(conn, tmp_path).runs > 100
    assert shown() == before
    seal_days(conn, most=timedelta(seconds=20))
    assert shown() == before
    log_days(conn, "sync", 298.005, seconds=1)  # a run put back on such a day is counted already
    assert shown()[2:] == before[2:]


def test_two_exports_at_once_share_the_rows(conn, database, tmp_path):
    conn.execute(
        "INSERT INTO public.jobs_log (job_name, started_at, completed_at, status)"
        " SELECT 'job ' || n % 7, now() - interval '200 days' + n * interval '1 second', now(), 'success'"
        " FROM generate_series(1, 20000) n"
    )
    before = live(conn)
    counts: list[int] = []

    def work() -> None:
        with connect(database) as own:
            counts.append(export(own, tmp_path).runs)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == 20000 - 7
    assert sorted([row["id"] for row in exported(tmp_path)] + live(conn)) == before
    assert len(part_files(tmp_path)) == sum(len(manifest["parts"]) for manifest in manifests(tmp_path))


def test_the_minimum_age_for_an_export_is_higher_than_for_the_archive(conn, tmp_path):
    log_days(conn, "sync", 200, 1)
    with pytest.raises(ConfigurationError, match="those of the last 3d are still counted"):
        archive_runs(conn, "2d", to=f"file://{tmp_path}", open_folder=StorageFolder)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_rows_are_counted_for_any_content_and_any_chunks(size):
    content = b'"a","b"\r\n"x\r\ny",\r\n"""\r\n""",""\r\n'
    assert count_rows(content[at : at + size] for at in range(0, len(content), size)) == 3


def test_the_operator_role_and_rights_on_the_log_are_enough(conn, database, tmp_path):
    log_days(conn, "sync", 200, 190, 1)
    conn.execute(schema.grants())
    conn.execute("CREATE ROLE airflow LOGIN; GRANT jobmon_operator TO airflow")
    conn.execute("GRANT SELECT, UPDATE, DELETE ON public.jobs_log TO airflow")
    try:
        with connect(f"{database} user=airflow") as other:
            assert export(other, tmp_path).runs == 2
            log_days(conn, "sync", 180, 170)
            assert archive_runs(other, "90d").runs == 2
    finally:
        conn.execute("DROP OWNED BY airflow, jobmon_operator, jobmon_reader")
        conn.execute("DROP ROLE airflow, jobmon_operator, jobmon_reader")
