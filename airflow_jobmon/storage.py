"""Files at any place that Airflow's ObjectStoragePath reaches: file://, s3://, gs://, abfs://, ..."""

from __future__ import annotations

from airflow_jobmon.errors import ConfigurationError


def keep(directory: str, name: str, content: bytes) -> str:
    """Write a file, in place of an earlier one of that name; returns its URI.

    Raises ConfigurationError where the place cannot be written to: an unknown scheme, a missing provider or connection,
    no right, a full disk.
    """
    from airflow.sdk import ObjectStoragePath  # noqa: PLC0415 - half a second that only a kept file is worth

    try:
        path = ObjectStoragePath(directory if "://" in directory else f"file://{directory}")
        path.mkdir(parents=True, exist_ok=True)
        target = path / name
        target.write_bytes(content)
    except Exception as error:
        # Every file system raises errors of its own.
        raise ConfigurationError(
            f"cannot write {name} to {directory[:200]!r} ({type(error).__name__}: {str(error)[:200]}); "
            "give a directory that this process may write to, like file:///srv/jobmon or s3://connection@bucket/jobmon"
        ) from error
    return str(target)


def audits_directory() -> str:
    """Where audits are kept unless somebody says otherwise."""
    from airflow.configuration import AIRFLOW_HOME  # noqa: PLC0415 - as above

    return f"{AIRFLOW_HOME}/jobmon-audits"
