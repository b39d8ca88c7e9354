"""`airflow jobmon drill`."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from airflow_jobmon.cli.command import command, print_to_stderr
from airflow_jobmon.cli.output import CommandResult
from airflow_jobmon.core.drills import drills
from airflow_jobmon.core.drills.drills import DrillResult
from airflow_jobmon.core.drills.end_to_end import EndToEndPlan, read_plan
from airflow_jobmon.errors import ConfigurationError


@command()
def failure(args: Namespace) -> CommandResult:
    return _run(args, drills.FAILURE, deliver=args.deliver, within=drills.read_within(args.within))


@command()
def missed(args: Namespace) -> CommandResult:
    if args.cron_job is not None and not args.unschedule:
        raise ConfigurationError("--cron-job selects the job to remove from pg_cron, so it needs --unschedule")
    given = {"off_pg_cron": args.unschedule, "cron_job": args.cron_job}
    return _run(args, drills.MISSED, deliver=args.deliver, within=drills.read_within(args.within), **given)


@command()
def end_to_end(args: Namespace) -> CommandResult:
    return _run(args, drills.END_TO_END, plan=_plan(Path(args.plan)))


def _run(args: Namespace, drill: str, **given: Any) -> CommandResult:
    from airflow_jobmon import settings as jobmon_settings  # noqa: PLC0415 - psycopg and Airflow, only when the command runs
    from airflow_jobmon.runtime.drill import run_drill  # noqa: PLC0415

    drills.check_drill(drill, args.job)
    print_to_stderr(f"running the {drill} drill for {args.job}")
    return _command_result(run_drill(drill, args.job, jobmon_settings.load(), conn_id=args.conn_id, **given))


def _command_result(result: DrillResult) -> CommandResult:
    return CommandResult(
        [_row(step.as_json()) for step in result.steps],
        value=result.as_json(),
        note=f"passed ({len(result.steps)} steps)" if result.passed else f"failed: {result.failures}",
        exit_code=0 if result.passed else 1,
        max_cell=400,
    )


def _row(step: dict[str, Any]) -> dict[str, Any]:
    seconds = step["seconds"]
    return {**step, "seconds": None if seconds is None else f"{seconds:.3f}", "ok": "yes" if step["ok"] else "NO"}


def _plan(path: Path) -> EndToEndPlan:
    import yaml  # noqa: PLC0415

    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror}); give the path of a YAML file") from None
    except (ValueError, RecursionError, yaml.YAMLError) as error:  # YAML raises ValueError for a date of month 13
        raise ConfigurationError(f"{path} is not valid YAML: {' '.join(str(error).split())[:300]}") from None
    return read_plan(fields, source=str(path))
