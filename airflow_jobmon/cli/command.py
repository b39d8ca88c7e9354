"""What every command has around it: Airflow's connections, a clean stdout, and errors that fit a line."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import shlex
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_jobmon.cli.output import Outcome, print_outcome, printable
from airflow_jobmon.errors import ConfigurationError, JobmonError

if TYPE_CHECKING:
    from psycopg import Connection

    from airflow_jobmon.settings import Settings

_MOST = 1_000_000
"""Rows that a command may be asked for."""


def command(*, failure: int = 1) -> Callable[[Callable[[Namespace], Outcome]], Callable[[Namespace], None]]:
    """Make a function from arguments to an Outcome into a command; `failure` is its exit code when it cannot answer."""

    def decorate(answer: Callable[[Namespace], Outcome]) -> Callable[[Namespace], None]:
        @functools.wraps(answer)
        def run(args: Namespace) -> None:
            import psycopg  # noqa: PLC0415 - not before a command really runs

            # Without it, hooks see only connections that are environment variables.
            os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
            try:
                with _everything_else_to_stderr():
                    _load_providers_configuration()
                    outcome = answer(args)
                print_outcome(outcome, getattr(args, "output", "table"), sys.stdout)
            except JobmonError as error:
                _fail(str(error), failure)
            except psycopg.Error as error:
                _fail(_database_words(error), failure)
            except UnicodeEncodeError as error:
                _fail(f"{error.object!r:.100} cannot be written as {error.encoding}; give text in UTF-8", failure)
            except KeyboardInterrupt:
                sys.exit(130)
            except BrokenPipeError:
                # The reader (head, a pager) has seen enough; keep Python's own last flush from complaining.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                sys.exit(0)
            if outcome.exit_code:
                sys.exit(outcome.exit_code)

        return run

    return decorate


@contextlib.contextmanager
def database(args: Namespace, *, migrated: bool = True) -> Iterator[tuple[Connection[Any], Settings]]:
    """An open connection to the job log's database, and the settings.

    Raises ConnectionProblem, and SchemaProblem unless the schema is the one this package knows (`migrated=False` for
    the command that brings it there).
    """
    from airflow_jobmon.postgres.connect import connect  # noqa: PLC0415
    from airflow_jobmon.postgres.migrate import check_schema  # noqa: PLC0415

    target, settings = read_target(args)
    with contextlib.closing(connect(target)) as conn:
        if migrated:
            check_schema(conn, migrate_by=_migrate_by(args))
        yield conn, settings


def ready_target(args: Namespace) -> tuple[str, Settings]:
    """The conninfo, for what makes its own connections, and the settings; raises as `database` does."""
    with database(args):
        return read_target(args)


def wanted_limit(args: Namespace) -> int:
    if args.limit < 1:
        raise ConfigurationError(f"--limit {args.limit} shows nothing; give 1 or more")
    if args.limit > _MOST:
        raise ConfigurationError(f"--limit {args.limit} is more than can be shown; give {_MOST} or less")
    return int(args.limit)


def say(text: str) -> None:
    """Progress, for a person who watches; stdout is for the result."""
    print(printable(text), file=sys.stderr, flush=True)


def read_target(args: Namespace) -> tuple[str, Settings]:
    """The conninfo and the settings as they are now; raises ConnectionProblem and ConfigurationError."""
    from airflow_jobmon import settings as jobmon_settings  # noqa: PLC0415
    from airflow_jobmon.runtime.connections import conninfo  # noqa: PLC0415

    settings = jobmon_settings.load()
    return conninfo(args.conn_id or settings.conn_id), settings


def _migrate_by(args: Namespace) -> str:
    """The command that migrates the database this one asks, which is not the default one where --conn-id is given."""
    return "airflow jobmon migrate" + (f" --conn-id {shlex.quote(args.conn_id)}" if args.conn_id else "")


def _fail(message: str, code: int) -> NoReturn:
    say(f"error: {message}")
    sys.exit(code)


def _database_words(error: Any) -> str:
    """What the server said, with its hint; libpq's own errors have no diagnostics, only text."""
    import psycopg  # noqa: PLC0415 - as above

    message = error.diag.message_primary or str(error).strip() or type(error).__name__
    hint = error.diag.message_hint
    said = f"the database says: {message}" + (f" (hint: {hint})" if hint else "")
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        said += (
            "; for what is in the schema airflow_jobmon, grant the connection's login the role jobmon_operator "
            "(GRANT jobmon_operator TO ...; sql/psql/grants.sql makes that role); "
            "for the job log itself, run airflow jobmon doctor, which says who needs what"
        )
    return said


def _load_providers_configuration() -> None:
    from airflow.providers_manager import ProvidersManager  # noqa: PLC0415

    ProvidersManager().initialize_providers_configuration()


@contextlib.contextmanager
def _everything_else_to_stderr() -> Iterator[None]:
    """Keep logs and prints of Airflow, hooks and libraries out of stdout.

    Airflow's handlers took hold of stdout long before a command runs, so the descriptor itself is turned as well.
    """
    real = sys.stdout
    turned = [
        handler
        for handler in logging.getLogger().handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream is real
    ]
    real.flush()
    own = os.dup(1) if _is_descriptor_1(real) else None
    if own is not None:
        os.dup2(2, 1)
    sys.stdout = sys.stderr
    for handler in turned:
        handler.setStream(sys.stderr)
    try:
        yield
    finally:
        real.flush()
        sys.stdout = real
        if own is not None:
            os.dup2(own, 1)
            os.close(own)
        for handler in turned:
            handler.setStream(real)


def _is_descriptor_1(stream: Any) -> bool:
    try:
        return bool(stream.fileno() == 1)
    except (OSError, ValueError, AttributeError):
        return False
