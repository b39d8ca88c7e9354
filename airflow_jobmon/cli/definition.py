"""Every command and argument of `airflow jobmon`, in the order of docs/commands.md.

Airflow imports this module on every `airflow` call, so it imports nothing but Airflow's own definitions.
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from textwrap import dedent

from airflow.cli.cli_config import ARG_OUTPUT, ActionCommand, Arg, GroupCommand, lazy_load_command


def _text(text: str) -> str:
    return dedent(text).strip()


def _incident_number(text: str) -> int:
    """The number of an incident, as `airflow jobmon incidents` lists it."""
    if text.isdecimal() and 0 < int(text) < 2**63:
        return int(text)
    raise ArgumentTypeError(f"{text!r} is not an incident number; `airflow jobmon incidents` lists them")


# Arguments that several commands share. No [brackets] in help texts: rich would read them as markup.

ARG_CONN_ID = Arg(
    ("--conn-id",),
    metavar="ID",
    help="Airflow connection (type postgres) to the job log's database (default: conn_id of section jobmon)",
)
ARG_JOB = Arg(("--job",), metavar="JOB", help="Only this job")
ARG_LIMIT = Arg(("--limit",), metavar="N", type=int, default=50, help="Show at most N rows, newest first (default: 50)")
ARG_JOB_OR_GLOB = Arg(
    ("name",), metavar="NAME", nargs="?", help="A job name or a quoted glob: * is any characters, ? is one character"
)
ARG_BY = Arg(("--by",), metavar="WHO", help="The name to record with it (default: your login)")
ARG_SEND = Arg(("--send",), action="store_true", help="Also send the report to channels")
ARG_CHANNELS = Arg(
    ("--channels",),
    metavar="IDS",
    help="Send to these connection ids, comma-separated (default: channels of section jobmon)",
)
ARG_WITHIN = Arg(
    ("--within",),
    metavar="TIME",
    help="Time limit of a drill for the evaluation and for each channel, such as 90s (default: 1m; email 5m)",
)
ARG_DELIVER = Arg(
    ("--deliver",),
    action="store_true",
    help="Evaluate and deliver a drill in this process too: proves the channels, but not that a watcher runs",
)
ARG_SOURCE = Arg(
    ("--source",),
    metavar="SOURCE",
    help="Only jobs that this source registered, as `jobs list` shows it: dag:..., file:..., or a file name",
)
ARG_FILE_FORMAT = Arg(
    ("-o", "--output"),
    metavar="FORMAT",
    choices=("yaml", "json"),
    default="yaml",
    help="yaml (default), or json, which has no comments",
)

# Set up

MIGRATE = ActionCommand(
    name="migrate",
    help="Create or update the airflow_jobmon schema and the triggers on the job log",
    func=lazy_load_command("airflow_jobmon.cli.migrate_command.migrate"),
    description=_text(
        """
        Create or update the schema airflow_jobmon and the triggers on the job log.
        Safe to run twice and while jobs run: if the table is busy, it backs off and tries again.
        Run it again after you change jobs_log_table, jobs_log_columns or status_words.
        """
    ),
    epilog=_text(
        """
        Examples:
          airflow jobmon migrate
          airflow jobmon migrate --create-jobs-log      also create public.jobs_log in an empty database
          airflow jobmon migrate --sql | psql -f - ...  apply the SQL as a role that Airflow does not have

        Exit codes: 0 migrated, 1 not migrated (no migration is left half applied).
        """
    ),
    args=(
        Arg(("--sql",), action="store_true", help="Print the SQL for psql instead of running it"),
        Arg(("--create-jobs-log",), action="store_true", help="Also create the job log table if it does not exist"),
        ARG_CONN_ID,
    ),
)

DOCTOR = ActionCommand(
    name="doctor",
    help="Find and explain anything that would block alerts",
    func=lazy_load_command("airflow_jobmon.cli.doctor_command.doctor"),
    description=_text(
        """
        Find and explain anything that would block alerts: in the database, in the channels, in Airflow.
        Changes nothing and sends nothing. Checks that need Airflow's metadata database are reported as
        "not checked here" where it is out of reach.
        """
    ),
    epilog=_text(
        """
        Examples:
          airflow jobmon doctor
          airflow jobmon doctor -o json | jq '.[] | select(.state == "wrong")'

        Exit codes: 0 nothing is wrong (there may be warnings), 1 something is wrong.
        """
    ),
    args=(ARG_OUTPUT, ARG_CONN_ID),
)

# Watch

CHECK = ActionCommand(
    name="check",
    help="Evaluate jobs now; the exit code is their health",
    func=lazy_load_command("airflow_jobmon.cli.check_command.check"),
    description=_text(
        """
        Evaluate jobs by their runs in the job log: failed, missed, late, stuck, slow, low success rate.
        Reads only, unless --record is given.
        """
    ),
    epilog=_text(
        """
        Examples:
          airflow jobmon check                                       all jobs
          airflow jobmon check nightly-invoices -o json              one job, for a script
          airflow jobmon check --at 2025-11-13T03:30:00+01:00        as of that time

        Exit codes, as for monitoring plugins: 0 ok, 1 warning, 2 critical, 3 unknown
        (also: no jobs at all, an unknown job name, an unreachable database).
        """
    ),
    args=(
        Arg(("jobs",), metavar="JOB", nargs="*", help="Job names (default: all jobs)"),
        Arg(
            ("--record",),
            action="store_true",
            help="Open and close incidents and create alerts, as the hourly check does; sends nothing",
        ),
        Arg(
            ("--at",),
            metavar="TIME",
            help="Evaluate as of this time (ISO 8601; UTC unless it has an offset); not with --record",
        ),
        ARG_OUTPUT,
        ARG_CONN_ID,
    ),
)

LISTEN = ActionCommand(
    name="listen",
    help="Watch the job log and deliver alerts until stopped",
    func=lazy_load_command("airflow_jobmon.cli.listen_command.listen"),
    description=_text(
        """
        Watch the job log and deliver alerts from this process, within milliseconds, even while the scheduler is down.
        Logs one line per event to stderr. Any number of these may run at once, also alongside the triggerer.
        """
    ),
    epilog=_text(
        """
        Example:
          airflow jobmon listen

        Stop it with SIGTERM or Ctrl-C: it first finishes the messages it is sending.
        Exit codes: 0 stopped, 1 could not start.
        """
    ),
    args=(ARG_CONN_ID,),
)

DELIVER = ActionCommand(
    name="deliver",
    help="Send every alert that is due, once, and report the result per channel",
    func=lazy_load_command("airflow_jobmon.cli.deliver_command.deliver"),
    description="Send every alert that is due on the channels that the configuration and the registered jobs name.",
    epilog=_text(
        """
        Example:
          airflow jobmon deliver -o json

        Exit codes: 0 every channel accepted what was due, 1 a channel did not.
        """
    ),
    args=(ARG_OUTPUT, ARG_CONN_ID),
)

# Alerts and incidents

ALERTS = ActionCommand(
    name="alerts",
    help="List alerts and their deliveries; retry dead deliveries",
    func=lazy_load_command("airflow_jobmon.cli.alerts_command.alerts"),
    description="List alerts, newest first, one row per channel: pending, sent, dead (refused for good) or silenced.",
    epilog=_text(
        """
        Examples:
          airflow jobmon alerts --state dead       alerts that never arrived, and why
          airflow jobmon alerts --retry            send dead alerts again, once the channel is fixed

        Exit codes: 0 listed, 1 could not list.
        """
    ),
    args=(
        Arg(
            ("--state",),
            metavar="STATE",
            choices=("pending", "sent", "dead", "silenced"),
            help="Only deliveries in this state: pending, sent, dead or silenced",
        ),
        Arg(("--retry",), action="store_true", help="First set dead deliveries (of --job, if given) back to pending"),
        ARG_JOB,
        ARG_LIMIT,
        ARG_OUTPUT,
        ARG_CONN_ID,
    ),
)

INCIDENTS = ActionCommand(
    name="incidents",
    help="List incidents, or show the history of one",
    func=lazy_load_command("airflow_jobmon.cli.incidents_command.incidents"),
    description=_text(
        """
        List open incidents, newest first; at most one is open per job and kind of finding.
        With --id, show the history of one: when it opened, which channels were notified and when, who acknowledged
        it, and when it was resolved.
        """
    ),
    epilog=_text(
        """
        Examples:
          airflow jobmon incidents
          airflow jobmon incidents --all --job nightly-invoices -o yaml
          airflow jobmon incidents --id 17

        Exit codes: 0 listed (also if incidents are open; `check` exits by health), 1 could not list.
        """
    ),
    args=(
        Arg(("--all",), action="store_true", help="Also list resolved incidents"),
        Arg(("--id",), metavar="N", type=_incident_number, help="Show the history of this incident"),
        ARG_JOB,
        ARG_LIMIT,
        ARG_OUTPUT,
        ARG_CONN_ID,
    ),
)

SILENCE = ActionCommand(
    name="silence",
    help="Silence a job, or every job that matches a glob, for a while",
    func=lazy_load_command("airflow_jobmon.cli.silence_command.silence"),
    description=_text(
        """
        Silence a job, or every job that matches a glob, for a while: its alerts are recorded and not sent.
        Incidents still open when the silence ends are notified then. Silence the same name again to move the end.
        """
    ),
    epilog=_text(
        """
        Examples:
          airflow jobmon silence nightly-invoices --for 2h --reason 'database upgrade'
          airflow jobmon silence 'billing-*' --until 2025-11-14T06:00:00+01:00 --reason 'month end'
          airflow jobmon silence --list

        Exit codes: 0 silenced or listed, 1 nothing was changed.
        """
    ),
    args=(
        ARG_JOB_OR_GLOB,
        Arg(("--for",), metavar="DURATION", dest="lasting", help="How long, such as 30m, 2h or 1d"),
        Arg(("--until",), metavar="TIME", help="Until when (ISO 8601; UTC unless it has an offset), instead of --for"),
        Arg(("--reason",), metavar="TEXT", help="Why; required"),
        ARG_BY,
        Arg(("--list",), action="store_true", help="List the silences in force (those that match NAME, if given)"),
        Arg(("--all",), action="store_true", help="List ended silences too"),
        ARG_OUTPUT,
        ARG_CONN_ID,
    ),
)

UNSILENCE = ActionCommand(
    name="unsilence",
    help="End a silence early",
    func=lazy_load_command("airflow_jobmon.cli.unsilence_command.unsilence"),
    description=_text(
        """
        End the silence of exactly this name now. A watcher then notifies incidents that are still open, within seconds,
        unless another silence matches the job too.
        """
    ),
    epilog=_text(
        """
        Example:
          airflow jobmon unsilence 'billing-*'

        Exit codes: 0 the silence has ended (now or before), 1 there was never a silence of this name.
        """
    ),
    args=(
        Arg(("name",), metavar="NAME", help="The name or glob of the silence, exactly as it was given"),
        ARG_BY,
        ARG_OUTPUT,
        ARG_CONN_ID,
    ),
)

ACK = ActionCommand(
    name="ack",
    help="Acknowledge open incidents, so that they are not repeated",
    func=lazy_load_command("airflow_jobmon.cli.ack_command.ack"),
    description=_text(
        """
        Acknowledge open incidents: their alerts are no longer repeated at intervals.
        A failure with a new error text is still notified once, and so is the resolution.
        """
    ),
    epilog=_text(
        """
        Examples:
          airflow jobmon ack nightly-invoices --note 'disk is being extended'
          airflow jobmon ack 'billing-*' --kind missed
          airflow jobmon ack --id 17 --undo

        Exit codes: 0 acknowledged (now or before), 1 no matching incident is open.
        """
    ),
    args=(
        ARG_JOB_OR_GLOB,
        Arg(
            ("--id",),
            metavar="N",
            type=_incident_number,
            help="Only this incident, by its number in `incidents`; instead of NAME",
        ),
        Arg(
            ("--kind",),
            metavar="KIND",
            choices=("failed", "missed", "stuck", "slow", "low_success_rate"),
            help="Only incidents of this kind: failed, missed, stuck, slow or low_success_rate",
        ),
        Arg(("--note",), metavar="TEXT", help="The cause, or what is being done about it"),
        ARG_BY,
        Arg(("--undo",), action="store_true", help="Withdraw the acknowledgement; alerts repeat again"),
        ARG_OUTPUT,
        ARG_CONN_ID,
    ),
)

# Reports

REPORT = ActionCommand(
    name="report",
    help="Print or send the morning digest or the weekly review",
    func=lazy_load_command("airflow_jobmon.cli.report_command.report"),
    description=_text(
        """
        Print the morning digest (daily) or the weekly review (weekly); with --send, send it too.
        Evaluates the job log as it is now and records nothing about jobs.
        """
    ),
    epilog=_text(
        """
        Examples:
          airflow jobmon report daily
          airflow jobmon report daily --send --channels oncall_slack,oncall_mail
          airflow jobmon report weekly --send --keep-at s3://aws_default@reports/jobmon

        Exit codes: 0 printed (and sent, or will be retried), 1 not printed, or refused by a channel.
        """
    ),
    args=(
        Arg(("kind",), metavar="KIND", choices=("daily", "weekly"), help="daily or weekly"),
        ARG_SEND,
        ARG_CHANNELS,
        Arg(("--keep-at",), metavar="URI", help="Save the weekly review as a page with charts in this directory"),
        Arg(("--page-url",), metavar="URL", help="The URL that serves this directory, for the link in messages"),
        ARG_OUTPUT,
        ARG_CONN_ID,
    ),
)

QUERY = ActionCommand(
    name="query",
    help="Run one of the monitoring queries, or list them",
    func=lazy_load_command("airflow_jobmon.cli.query_command.query"),
    description=_text(
        """
        Run one of the monitoring queries, for one job or for all: recent executions, success rate, failed jobs,
        durations, records, open incidents and more. Without a name, list the queries.
        """
    ),
    epilog=_text(
        """
        Examples:
          airflow jobmon query
          airflow jobmon query success_rate --job nightly-invoices
          airflow jobmon query failed_jobs -o csv > failures.csv
          airflow jobmon query weekly_review --sql      one query, to paste into Metabase or Supabase
          airflow jobmon query --sql > queries.sql      all queries, for psql

        Exit codes: 0 printed (also with no rows), 1 could not run, or the job is unknown.
        """
    ),
    args=(
        Arg(("name",), metavar="NAME", nargs="?", help="Name of a query (default: list the queries)"),
        ARG_JOB,
        Arg(
            ("-o", "--output"),
            metavar="FORMAT",
            choices=("table", "plain", "json", "yaml", "csv"),
            default="table",
            help="table (default), plain, json, yaml or csv",
        ),
        Arg(("--sql",), action="store_true", help="Print the query (or all of them, for psql) as plain SQL instead"),
        ARG_CONN_ID,
    ),
)

AUDIT = ActionCommand(
    name="audit",
    help="Run the monthly audit: export queries, archive old runs, drill the channels, report",
    func=lazy_load_command("airflow_jobmon.cli.audit_command.audit"),
    description=_text(
        """
        Run the monthly audit: run all monitoring queries and save their results with a manifest, archive old runs
        (only count them unless --archive is given), run an alert drill that reaches every channel, list error texts
        that are new since the last audit, and print one report.
        """
    ),
    epilog=_text(
        """
        Examples:
          airflow jobmon audit --keep-at s3://aws_default@audits/jobmon --archive --send
          airflow jobmon audit --no-drill -o json

        Exit codes: 0 every step succeeded, 1 a step failed.
        """
    ),
    args=(
        Arg(("--keep-at",), metavar="URI", help="Directory for the export (default: AIRFLOW_HOME/jobmon-audits)"),
        Arg(("--job",), metavar="JOB", help="Export, archive and drill only this job"),
        Arg(("--archive",), action="store_true", help="Archive old runs instead of only counting them"),
        Arg(("--older-than",), metavar="AGE", default="90d", help="The age from which a run is old (default: 90d)"),
        Arg(("--no-drill",), action="store_true", help="Run no alert drill"),
        ARG_WITHIN,
        ARG_DELIVER,
        ARG_SEND,
        ARG_CHANNELS,
        ARG_OUTPUT,
        ARG_CONN_ID,
    ),
)

# The registry

JOBS_LIST = ActionCommand(
    name="list",
    help="List the registered jobs and their sources",
    func=lazy_load_command("airflow_jobmon.cli.jobs_command.list_registered"),
    description="List the registered jobs: health at the last evaluation, schedule, due time, and source.",
    epilog="Example:\n  airflow jobmon jobs list -o yaml\n\nExit codes: 0 listed, 1 could not list.",
    args=(ARG_SOURCE, ARG_OUTPUT, ARG_CONN_ID),
)

JOBS_APPLY = ActionCommand(
    name="apply",
    help="Register the jobs of a YAML file, all or none",
    func=lazy_load_command("airflow_jobmon.cli.jobs_command.apply"),
    description=_text(
        """
        Register the jobs of a YAML file, all or none. Jobs that this source registered before are updated; a job that
        another source registered is refused. Jobs removed from the file stay registered unless --prune is given.
        Prints each changed field.
        """
    ),
    epilog=_text(
        """
        Example of a file:
          jobs:
            - name: nightly-invoices
              schedule: 0 2 * * *
              timezone: Europe/Berlin
              grace: 30m
            - name: sync-customers
              every: 15m

        Examples:
          airflow jobmon jobs apply jobs.yaml --prune --dry-run
          generate-jobs | airflow jobmon jobs apply - --source generated

        Exit codes: 0 registered (or, in a dry run, could be), 1 nothing was changed.
        """
    ),
    args=(
        Arg(("file",), metavar="FILE", help="YAML file with a list of jobs under `jobs:`; - reads standard input"),
        Arg(("--dry-run",), action="store_true", help="Only print what would change"),
        Arg(
            ("--prune",),
            action="store_true",
            help="Remove jobs that this source registered and that the file no longer lists",
        ),
        Arg(
            ("--source",),
            metavar="NAME",
            help="The source that registers these jobs (default: the file's `source:`, else the file's base name)",
        ),
        Arg(("--take-over",), action="store_true", help="Take over jobs that another source registered"),
        Arg(
            ("--allow-unknown-channels",),
            action="store_true",
            help="Accept channels for which there is no connection here",
        ),
        ARG_OUTPUT,
        ARG_CONN_ID,
    ),
)

JOBS_EXPORT = ActionCommand(
    name="export",
    help="Print the registry as a file for `jobs apply`",
    func=lazy_load_command("airflow_jobmon.cli.jobs_command.export"),
    description=_text(
        """
        Print the registry as a file that `jobs apply` reads back unchanged: each job with the fields that were set,
        under a comment that names its source.
        """
    ),
    epilog=_text(
        """
        Examples:
          airflow jobmon jobs export > all-jobs.yaml
          airflow jobmon jobs export --source dag:jobmon_hourly_health_check/check

        Exit codes: 0 printed, 1 could not print.
        """
    ),
    args=(ARG_SOURCE, ARG_FILE_FORMAT, ARG_CONN_ID),
)

JOBS_REMOVE = ActionCommand(
    name="remove",
    help="Remove jobs from the registry",
    func=lazy_load_command("airflow_jobmon.cli.jobs_command.remove"),
    description=_text(
        """
        Remove jobs from the registry, by name or by source. Their runs and incidents stay. A DAG that still lists a
        job registers it again on its next run. Until then it counts as an unregistered job: see unregistered_jobs.
        """
    ),
    epilog=_text(
        """
        Examples:
          airflow jobmon jobs remove nightly-invoices
          airflow jobmon jobs remove --source dag:old_health_check/check

        Exit codes: 0 removed, 1 nothing was changed.
        """
    ),
    args=(
        Arg(("jobs",), metavar="JOB", nargs="*", help="Job names"),
        Arg(("--source",), metavar="SOURCE", help="All jobs that this source registered, as `jobs list` shows it"),
        ARG_OUTPUT,
        ARG_CONN_ID,
    ),
)

JOBS_SCHEMA = ActionCommand(
    name="schema",
    help="Print the JSON Schema of the file for `jobs apply`",
    func=lazy_load_command("airflow_jobmon.cli.jobs_command.schema"),
    description="Print the JSON Schema of the file that `jobs apply` reads, for editors. Needs no database.",
    epilog=_text(
        """
        Example:
          airflow jobmon jobs schema > jobs.schema.json
        and as the first line of the jobs file:
          # yaml-language-server: $schema=jobs.schema.json

        Exit codes: 0 printed.
        """
    ),
    args=(),
)

JOBS_SUGGEST = ActionCommand(
    name="suggest",
    help="Print a registry learned from the history",
    func=lazy_load_command("airflow_jobmon.cli.jobs_suggest_command.suggest_jobs"),
    description=_text(
        """
        Print a file for `jobs apply`, learned from the history of the jobs that are not registered: schedule, time
        zone, grace, timeout and max_duration, each with its evidence as a comment. Jobs without a regular schedule
        are listed at the end, with the reason. Changes nothing.
        """
    ),
    epilog=_text(
        """
        Examples:
          airflow jobmon jobs suggest > jobs.yaml
          airflow jobmon jobs suggest --job nightly-invoices --timezone Europe/Berlin

        Exit codes: 0 printed, 1 could not print.
        """
    ),
    args=(
        ARG_JOB,
        Arg(("--days",), metavar="N", type=int, default=400, help="How many days of history to read (default: 400)"),
        Arg(
            ("--timezone",),
            metavar="ZONE",
            action="append",
            default=[],
            help="A time zone to prefer over others for schedules; may be given several times",
        ),
        ARG_FILE_FORMAT,
        ARG_CONN_ID,
    ),
)

JOBS = GroupCommand(
    name="jobs",
    help="Manage the registry: which jobs are expected to run, and when",
    subcommands=(JOBS_LIST, JOBS_APPLY, JOBS_EXPORT, JOBS_REMOVE, JOBS_SCHEMA, JOBS_SUGGEST),
)

# Drills

ARG_DRILLED_JOB = Arg(("--job",), metavar="JOB", required=True, help="The job to run the drill for")
DRILL_EXIT_CODES = "Exit codes: 0 passed, 1 failed, or could not run."

DRILL_FAILURE = ActionCommand(
    name="failure",
    help="Log a failed test run and time how long each channel takes to accept its alert",
    func=lazy_load_command("airflow_jobmon.cli.drill_command.failure"),
    description=_text(
        """
        Log a failed run of a job, marked as a test, and follow it: trigger, watcher, alert, channels.
        The run is deleted at the end; it opens no incident and counts in no statistic.
        """
    ),
    epilog=f"Example:\n  airflow jobmon drill failure --job nightly-invoices\n\n{DRILL_EXIT_CODES}",
    args=(ARG_DRILLED_JOB, ARG_WITHIN, ARG_DELIVER, ARG_OUTPUT, ARG_CONN_ID),
)

DRILL_MISSED = ActionCommand(
    name="missed",
    help="Verify that a missed run would be noticed, and send the alert as a test",
    func=lazy_load_command("airflow_jobmon.cli.drill_command.missed"),
    description=_text(
        """
        Evaluate a job as of one second after its next run is due, as if that run never started, and send the alert as
        a test. The job keeps its schedule, unless --unschedule is given.
        """
    ),
    epilog=(
        "Examples:\n"
        "  airflow jobmon drill missed --job nightly-invoices\n"
        "  airflow jobmon drill missed --job nightly-invoices --unschedule\n\n"
        f"{DRILL_EXIT_CODES}"
    ),
    args=(
        ARG_DRILLED_JOB,
        Arg(
            ("--unschedule",),
            action="store_true",
            help="Remove the job from pg_cron during the drill, and restore it afterwards",
        ),
        Arg(
            ("--cron-job",),
            metavar="NAME",
            help="The pg_cron job to remove, by name or number (default: the only one that mentions the job)",
        ),
        ARG_WITHIN,
        ARG_DELIVER,
        ARG_OUTPUT,
        ARG_CONN_ID,
    ),
)

DRILL_END_TO_END = ActionCommand(
    name="end-to-end",
    help="Call the real job on test data and check the result",
    func=lazy_load_command("airflow_jobmon.cli.drill_command.end_to_end"),
    description=_text(
        """
        Create test data, call the real job, wait for its run, check the result, and remove the test data.
        The run is a real one: it is evaluated and counted like any other.
        """
    ),
    epilog=(
        "Example of a plan:\n"  # noqa: S608 - text, not a statement
        "  setup_sql: INSERT INTO invoices (due) VALUES (current_date - 2) RETURNING id AS invoice\n"
        "  http_conn_id: edge_functions\n"
        "  endpoint: functions/v1/nightly-invoices\n"
        "  check_sql: SELECT status FROM invoices WHERE id = %(invoice)s\n"
        "  expected: overdue\n"
        "  cleanup_sql: DELETE FROM invoices WHERE id = %(invoice)s\n\n"
        f"{DRILL_EXIT_CODES}"
    ),
    args=(
        ARG_DRILLED_JOB,
        Arg(("--plan",), metavar="FILE", required=True, help="YAML file that describes the test of this job"),
        ARG_OUTPUT,
        ARG_CONN_ID,
    ),
)

DRILL = GroupCommand(
    name="drill",
    help="Run alert tests: prove that alerts arrive, and measure how long they take",
    subcommands=(DRILL_FAILURE, DRILL_MISSED, DRILL_END_TO_END),
)

# The archive

ARCHIVE = ActionCommand(
    name="archive",
    help="Move old runs out of the job log into the archive",
    func=lazy_load_command("airflow_jobmon.cli.archive_command.archive"),
    description=_text(
        """
        Move runs that started longer ago than AGE out of the job log into airflow_jobmon.jobs_log_archive, or, with
        --to, into CSV files, which are read back and verified before anything is deleted.
        Never moves a run that is in progress, that decides the health of its job, or that an open incident refers to.
        You can stop it and start it again at any time; jobs keep running meanwhile.
        """
    ),
    epilog=_text(
        """
        Examples:
          airflow jobmon archive --older-than 90d --dry-run    how many runs of each job it would move
          airflow jobmon archive --older-than 90d
          airflow jobmon archive --older-than 2w --job sync
          airflow jobmon archive --older-than 400d --to s3://aws_archive@backups/jobs_log

        Exit codes: 0 done, 1 not done, or the database refused to delete some rows.
        """
    ),
    args=(
        Arg(
            ("--older-than",),
            metavar="AGE",
            required=True,
            help="Move runs that started longer ago than this: 90d, 12w, P90D; a day or more",
        ),
        ARG_JOB,
        Arg(
            ("--to",),
            metavar="URI",
            help="Export to CSV files in this folder instead (file://, s3://connection@bucket/..., ...), then delete",
        ),
        Arg(("--dry-run",), action="store_true", help="Count the runs that would be moved, and change nothing"),
        ARG_OUTPUT,
        ARG_CONN_ID,
    ),
)

JOBMON_COMMANDS = (
    MIGRATE,
    DOCTOR,
    CHECK,
    LISTEN,
    DELIVER,
    ALERTS,
    INCIDENTS,
    SILENCE,
    UNSILENCE,
    ACK,
    REPORT,
    QUERY,
    AUDIT,
    JOBS,
    DRILL,
    ARCHIVE,
)


def get_jobmon_commands() -> list[GroupCommand]:
    return [
        GroupCommand(
            name="jobmon",
            help="Monitor jobs that run outside Airflow",
            description="Monitor jobs that run outside Airflow and log a row per run in a Postgres table.",
            subcommands=JOBMON_COMMANDS,
        )
    ]
