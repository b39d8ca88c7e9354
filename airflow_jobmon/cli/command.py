"""What all commands share: the decorator, the connection to the job log's database, and output to stderr."""

from __future__ import annotations

import contextlib
import functools
import getpass
import logging
import os
import shlex
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_jobmon.cli.output import CommandResult, print_result, printable
from airflow_jobmon.errors import ConfigurationError, JobmonError

if TYPE_CHECKING:
    from psycopg import Connection

    from airflow_jobmon.settings import Settings

_MAX_LIMIT = 1_000_000


def command(*, failure: int = 1) -> Callable[[Callable[[Namespace], CommandResult]], Callable[[Namespace], None]]:
    """Turn a function from arguments to a CommandResult into a command.

    Gives it Airflow's connections and a stdout that carries only the result, and reports an error in one line.
    `failure` is the exit code of a command that raises.
    """

    def decorate(function: Callable[[Namespace], CommandResult]) -> Callable[[Namespace], None]:
        @functools.wraps(function)
        def run(args: Namespace) -> None:
            import psycopg  # noqa: PLC0415 - slow, only when a command runs

            # Without it, hooks find only connections in environment variables.
            os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
            try:
                with _all_other_output_to_stderr():
                    _load_providers_configuration()
                    result = function(args)
                print_result(result, getattr(args, "output", "table"), sys.stdout)
            except JobmonError as error:
                _fail(str(error), failure)
            except psycopg.Error as error:
                _fail(_database_error(error), failure)
            except UnicodeEncodeError as error:
                _fail(f"{error.object!r:.100} cannot be written as {error.encoding}; give text in UTF-8", failure)
            except KeyboardInterrupt:
                sys.exit(130)
            except BrokenPipeError:
                # The reader (head, a pager) has closed the pipe; without this, Python's last flush raises too.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                sys.exit(0)
            if result.exit_code:
                sys.exit(result.exit_code)

        return run

    return decorate


@contextlib.contextmanager
def database(args: Namespace, *, migrated: bool = True) -> Iterator[tuple[Connection[Any], Settings]]:
    """An open connection to the job log's database, and the settings.

    Raises ConnectionProblem, and SchemaProblem unless the schema is at the version of this package; `migrated=False`,
    for `migrate` itself, skips that check.
    """
    from airflow_jobmon.postgres.connect import connect  # noqa: PLC0415
    from airflow_jobmon.postgres.migrate import check_schema  # noqa: PLC0415

    target, settings = read_target(args)
    with contextlib.closing(connect(target)) as conn:
        if migrated:
            check_schema(conn, migrate_by=_migrate_command(args))
        yield conn, settings


def migrated_target(args: Namespace) -> tuple[str, Settings]:
    """The conninfo, for code that opens its own connections, and the settings; raises as `database` does."""
    with database(args):
        return read_target(args)


def read_limit(args: Namespace) -> int:
    if args.limit < 1:
        raise ConfigurationError(f"--limit {args.limit} shows nothing; give 1 or more")
    if args.limit > _MAX_LIMIT:
        raise ConfigurationError(f"--limit {args.limit} is too high; give {_MAX_LIMIT} or less")
    return int(args.limit)


def print_to_stderr(text: str) -> None:
    """Print progress, a warning or an error as one line; stdout is for the result."""
    print(printable(text), file=sys.stderr, flush=True)


def read_target(args: Namespace) -> tuple[str, Settings]:
    """The current conninfo and settings; raises ConnectionProblem and ConfigurationError."""
    from airflow_jobmon import settings as jobmon_settings  # noqa: PLC0415
    from airflow_jobmon.runtime.connections import conninfo  # noqa: PLC0415

    settings = jobmon_settings.load()
    return conninfo(args.conn_id or settings.conn_id), settings


def requested_by(args: Namespace) -> str:
    """--by, or the login that runs the command; the user id where there is no login, as in some containers."""
    if args.by and args.by.strip():
        return str(args.by).strip()
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return f"uid {os.getuid()}"


def _migrate_command(args: Namespace) -> str:
    """The command that migrates the database that this command uses."""
    return "airflow jobmon migrate" + (f" --conn-id {shlex.quote(args.conn_id)}" if args.conn_id else "")


def _fail(message: str, code: int) -> NoReturn:
    print_to_stderr(f"error: {message}")
    sys.exit(code)


def _database_error(error: Any) -> str:
    """The server's message with its hint; libpq's own errors have only text."""
    import psycopg  # noqa: PLC0415 - as above

    message = error.diag.message_primary or str(error).strip() or type(error).__name__
    hint = error.diag.message_hint
    text = f"database error: {message}" + (f" (hint: {hint})" if hint else "")
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        text += (
            "; for objects in the schema airflow_jobmon, grant the role jobmon_operator to the connection's login "
            "(GRANT jobmon_operator TO ...; sql/psql/grants.sql creates the role); "
            "for the job log itself, run airflow jobmon doctor, which names the missing grant"
        )
    return text


def _load_providers_configuration() -> None:
    from airflow.providers_manager import ProvidersManager  # noqa: PLC0415

    ProvidersManager().initialize_providers_configuration()


@contextlib.contextmanager
def _all_other_output_to_stderr() -> Iterator[None]:
    """Keep logs and prints of Airflow, hooks and libraries out of stdout.

    Airflow's log handlers hold stdout long before a command runs, so the file descriptor is redirected as well.
    """
    real = sys.stdout
    redirected = [
        handler
        for handler in logging.getLogger().handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream is real
    ]
    real.flush()
    own = os.dup(1) if _is_descriptor_1(real) else None
    if own is not None:
        os.dup2(2, 1)
    sys.stdout = sys.stderr
    for handler in redirected:
        handler.setStream(sys.stderr)
    try:
        yield
    finally:
        real.flush()
        sys.stdout = real
        if own is not None:
            os.dup2(own, 1)
            os.close(own)
        for handler in redirected:
            handler.setStream(real)


def _is_descriptor_1(stream: Any) -> bool:
    try:
        return bool(stream.fileno() == 1)
    except (OSError, ValueError, AttributeError):
        return False
