"""An unavailable port is reported in one sentence with exit code 2, never a traceback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from demo import preconditions

ROOT = Path(__file__).resolve().parents[3]


def refusal(module: str, *arguments: str, ports: Mapping[str, str] | None = None) -> str:
    """The stderr of `python -m MODULE` when it refuses to start."""
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_PORT")}
    answer = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={**kept, **(ports or {})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (answer.returncode, answer.stdout) == (2, ""), answer.stderr
    assert answer.stderr.count("\n") == 1, answer.stderr
    return answer.stderr.strip()


@pytest.mark.parametrize(
    ("arguments", "ports", "expected"),
    [
        pytest.param([], {"AIRFLOW_PORT": "abc"}, "AIRFLOW_PORT is 'abc', which is not a port", id="no number"),
        pytest.param([], {"AIRFLOW_PORT": "99999"}, "AIRFLOW_PORT is '99999', which is not a port", id="too large"),
        pytest.param([], {"SMTP_PORT": "-1"}, "SMTP_PORT is '-1', which is not a port", id="negative"),
        pytest.param(["--inbox-port", "0"], {}, "--inbox-port is '0', which is not a port", id="an option"),
        pytest.param([], {"SMTP_PORT": "8025"}, "INBOX_PORT and SMTP_PORT are both 8025", id="as another's default"),
        pytest.param(
            ["--airflow-port=9000"],
            {"INBOX_PORT": "9000"},
            "--airflow-port and INBOX_PORT are both 9000",
            id="an option and a variable",
        ),
    ],
)
def test_the_demo_refuses_a_port_in_one_sentence(arguments: list[str], ports: dict[str, str], expected: str) -> None:
    said = refusal("demo", "--once", *arguments, ports=ports)
    assert said.startswith(f"the demo cannot start: {expected}; choose ")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param(["abc"], "HTTP_PORT is 'abc', which is not a port", id="no number"),
        pytest.param(["0", "65536"], "SMTP_PORT is '65536', which is not a port", id="too large"),
        pytest.param(["8025", "8025"], "HTTP_PORT and SMTP_PORT are both 8025", id="one port for both"),
        pytest.param(["0", "0", "0"], "it takes two ports at most, and got 3", id="one too many"),
    ],
)
def test_the_inbox_alone_refuses_a_port_in_one_sentence(arguments: list[str], expected: str) -> None:
    assert refusal("demo.inbox", *arguments).startswith(f"the inbox cannot start: {expected}")


@pytest.mark.parametrize("before", [[], ["0"]], ids=["page", "mail server"])
def test_the_inbox_alone_names_a_busy_port(before: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        said = refusal("demo.inbox", *before, str(port))
    assert said.startswith(f"the inbox cannot start: port {port}, which the ")
    assert said.endswith(f"choose another: {' '.join(['python -m demo.inbox', *before])} {port + 1000}")


@pytest.mark.parametrize(
    "text", ["", " ", "\uff18\uff10", "8_0", "1e3", "+80", "9" * 5000], ids=lambda text: repr(text[:9])
)
def test_only_plain_digits_are_a_port(text: str) -> None:
    with pytest.raises(preconditions.CannotStart, match="which is not a port; choose a whole number from 1 to 65535"):
        preconditions.parse_port(text, "INBOX_PORT")


def test_the_first_and_the_last_port_are_ports() -> None:
    assert [preconditions.parse_port(text, "INBOX_PORT") for text in ("1", " 8025 ", "65535")] == [1, 8025, 65535]


def test_two_free_ports_are_not_one_port() -> None:
    preconditions.refuse_equal_ports({"HTTP_PORT": 0, "SMTP_PORT": 0})
    with pytest.raises(preconditions.CannotStart, match="A_PORT and C_PORT are both 1; choose a different port"):
        preconditions.refuse_equal_ports({"A_PORT": 1, "B_PORT": 2, "C_PORT": 1})


@pytest.mark.parametrize(("port", "other"), [(8080, 9080), (64535, 65535), (64536, 63536), (65535, 64535)])
def test_the_suggested_port_is_valid(port: int, other: int) -> None:
    assert preconditions.another_port(port) == other
