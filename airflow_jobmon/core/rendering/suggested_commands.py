"""Commands about a job, ready to be copied into a shell, whatever its name is made of."""

from __future__ import annotations

import shlex

from airflow_jobmon.core.model.silences import matches
from airflow_jobmon.core.text import show_invisible


def silence_command(job_name: str) -> str:
    """Keeps the job quiet for two hours, once the reason is filled in."""
    return f"airflow jobmon silence {shlex.quote(typeable(job_name))} --for 2h --reason 'why'"


def unsilence_command(silence_name: str) -> str | None:
    """Lifts the silence of this very name; None where that cannot be typed, and its end has to be waited for."""
    if typeable(silence_name) != silence_name:
        return None
    return f"airflow jobmon unsilence {shlex.quote(silence_name)}"


def acknowledge_command(incident_id: int) -> str:
    """Says that an incident is known, once the note is filled in."""
    return f"airflow jobmon ack --id {incident_id} --note 'what is being done'"


def typeable(job_name: str) -> str:
    """The name, or a glob that means it, without what a terminal would act on or a person could not see.

    A leading dash would be read as an option.
    """
    shown = "".join(char if char.isprintable() and show_invisible(char) == char else "?" for char in job_name)
    if shown.startswith("-"):
        shown = f"?{shown[1:]}"
    return shown if matches(shown, job_name) else "*"
