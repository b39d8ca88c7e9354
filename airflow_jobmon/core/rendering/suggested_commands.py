"""Commands about a job, ready to be copied into a shell, whatever characters its name contains."""

from __future__ import annotations

import shlex

from airflow_jobmon.core.model.silences import matches
from airflow_jobmon.core.text import show_invisible


def silence_command(job_name: str) -> str:
    """Silences the job for two hours; the reason is to be filled in."""
    return f"airflow jobmon silence {shlex.quote(typeable(job_name))} --for 2h --reason 'why'"


def unsilence_command(silence_name: str) -> str | None:
    """Ends the silence of exactly this name; None if the name cannot be typed."""
    if typeable(silence_name) != silence_name:
        return None
    return f"airflow jobmon unsilence {shlex.quote(silence_name)}"


def acknowledge_command(incident_id: int) -> str:
    """Acknowledges an incident; the note is to be filled in."""
    return f"airflow jobmon ack --id {incident_id} --note 'what is being done'"


def typeable(job_name: str) -> str:
    """The name, or a glob that matches it, without control or invisible characters.

    A leading dash would be read as an option.
    """
    shown = "".join(char if char.isprintable() and show_invisible(char) == char else "?" for char in job_name)
    if shown.startswith("-"):
        shown = f"?{shown[1:]}"
    return shown if matches(shown, job_name) else "*"
