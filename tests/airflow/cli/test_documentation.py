"""Every command, option, setting and field is documented, and --help is complete."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow.cli.cli_config import ActionCommand, GroupCommand

from airflow_jobmon.cli.definition import get_jobmon_commands
from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.get_provider_info import get_provider_info

DOCS = Path(__file__).parents[3] / "docs"


def commands(group: GroupCommand, path: str = "") -> Iterator[tuple[str, ActionCommand]]:
    for command in group.subcommands:
        name = f"{path} {command.name}".strip()
        if isinstance(command, GroupCommand):
            yield from commands(command, name)
        else:
            yield name, command


[JOBMON] = get_jobmon_commands()
COMMANDS = dict(commands(JOBMON))


def section(name: str) -> str:
    """The section of docs/commands.md on one command."""
    text = (DOCS / "commands.md").read_text()
    parts = dict(re.findall(r"^## `airflow jobmon ([\w -]+)`\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    assert name in parts, f"docs/commands.md has no section on `airflow jobmon {name}`"
    return parts[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_every_command_is_documented(name):
    options = [flag for argument in COMMANDS[name].args for flag in argument.flags if flag.startswith("-")]
    assert [flag for flag in options if f"`{flag}" not in section(name)] == []


def test_every_documented_command_exists():
    documented = re.findall(r"^## `airflow jobmon ([\w -]+)`", (DOCS / "commands.md").read_text(), re.MULTILINE)
    assert sorted(documented) == sorted(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_a_description_an_example_and_exit_codes(parser, capsys, name):
    with pytest.raises(SystemExit):
        parser.parse_args(["jobmon", *name.split(), "--help"])
    shown = capsys.readouterr().out
    command = COMMANDS[name]
    assert command.description.splitlines()[0] in shown
    assert command.epilog.strip() in shown, "rich read a part of it as markup"
    for argument in command.args:
        assert "".join(argument.kwargs["help"].split()) in "".join(shown.split()), "rich read a part of it as markup"
    assert "Example" in shown
    assert "Exit codes:" in shown or "Exit codes, as" in shown


@pytest.mark.parametrize("option", get_provider_info()["config"]["jobmon"]["options"])
def test_every_setting_is_documented_with_its_default(option):
    default = get_provider_info()["config"]["jobmon"]["options"][option]["default"]
    text = (DOCS / "configuration.md").read_text().split("## Section")[1].split("## Channels")[0]
    [documented] = re.findall(rf"^\| `{option}` \|(.*?)\|", text, re.MULTILINE)
    assert documented.strip("` ") == (default or "")


@pytest.mark.parametrize(
    ("name", "description"),
    [
        *((name, option["description"]) for name, option in get_provider_info()["config"]["jobmon"]["options"].items()),
        *((name, field.description) for name, field in MonitoredJob.model_fields.items()),
    ],
)
def test_code_and_documentation_agree_on_what_is_not_used_yet(name, description):
    [meaning] = re.findall(
        rf"^\|[^|]*`{name}`[^|]*\|[^|]*\|(.*)\|$", (DOCS / "configuration.md").read_text(), re.MULTILINE
    )[-1:]
    assert ("not used yet" in meaning) == ("not used yet" in (description or ""))


@pytest.mark.parametrize("field", MonitoredJob.model_fields)
def test_every_field_of_a_job_is_documented(field):
    text = (DOCS / "configuration.md").read_text().split("## Fields of a job")[1]
    assert f"`{field}`" in text
