"""The demo leaves no process behind however it ends, and reports in one sentence why it cannot start."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from demo import preconditions
from demo.ports import free_port
from demo.programs import Program, ProgramFailed, run

ROOT = Path(__file__).resolve().parents[3]

FAMILY = """
import os, signal, subprocess, sys, time
if {stubborn}:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print(os.getpid(), child.pid, flush=True)
time.sleep(600)
"""
"""A program with a child in a session of its own, which a signal to the program's group does not reach."""


def until(condition: Callable[[], bool], timeout: float = 60) -> bool:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def family_in(log: Path) -> list[int]:
    assert until(lambda: log.exists() and len(log.read_text().split()) == 2)
    return [int(word) for word in log.read_text().split()]


def start(log: Path, *, stubborn: bool = False, grace: float = 5) -> Program:
    command = [sys.executable, "-c", FAMILY.format(stubborn=stubborn)]
    return Program("family", command, env=os.environ, log=log, grace=grace)


def test_stopping_a_program_stops_everything_below_it(tmp_path: Path) -> None:
    program = start(tmp_path / "log")
    family = family_in(tmp_path / "log")
    program.stop()
    assert not any(alive(process) for process in family)


def test_a_program_that_ignores_sigterm_is_killed_after_a_while(tmp_path: Path) -> None:
    program = start(tmp_path / "log", stubborn=True, grace=0.3)
    family = family_in(tmp_path / "log")
    program.stop()
    assert not any(alive(process) for process in family)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_programs_end_when_their_starter_dies(tmp_path: Path, number: signal.Signals) -> None:
    code = (
        "import os, signal, sys, time; from pathlib import Path; from demo.programs import Program\n"
        "for number in (signal.SIGTERM, signal.SIGHUP):\n"
        "    signal.signal(number, signal.SIG_DFL)  # nohup starts a program with SIGHUP ignored\n"
        f"Program('family', [sys.executable, '-c', {FAMILY.format(stubborn=False)!r}], env=os.environ,"
        f" log=Path({str(tmp_path / 'log')!r}))\n"
        "time.sleep(600)"
    )
    starter = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    family = family_in(tmp_path / "log")
    starter.send_signal(number)
    starter.wait(60)
    assert until(lambda: not any(alive(process) for process in family))


def test_ctrl_c_in_the_terminal_is_left_to_the_demo(tmp_path: Path) -> None:
    program = start(tmp_path / "log")
    family = family_in(tmp_path / "log")
    assert os.getpgid(family[0]) != os.getpgid(0)
    assert os.getsid(family[0]) != os.getsid(0)
    program.stop()


def test_a_program_that_ends_by_itself_is_noticed_with_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('first'); print('no room left'); raise SystemExit(3)"]
    program = Program("the job", command, env=os.environ, log=tmp_path / "log")
    with pytest.raises(ProgramFailed, match=r"the job ended with exit code 3: no room left \(log: .*log\)"):
        until(lambda: program.check() is not None)
    program.stop()


def test_a_command_that_fails_or_hangs_is_an_error(tmp_path: Path) -> None:
    def command(code: str, timeout: float) -> None:
        run("the command", [sys.executable, "-c", code], env=os.environ, log=tmp_path / "log", timeout=timeout)

    command("pass", 60)
    with pytest.raises(ProgramFailed, match="the command failed: wrong password"):
        command("print('wrong password'); raise SystemExit(1)", 60)
    with pytest.raises(ProgramFailed, match="the command took more than"):
        command("import time; time.sleep(60)", 0.2)


def test_a_busy_port_is_named_with_a_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        with pytest.raises(
            preconditions.CannotStart, match=rf"port {port}, which the inbox needs.*INBOX_PORT={port + 1000}"
        ):
            preconditions.check_port(port, "the inbox", "make demo INBOX_PORT=")
    preconditions.check_port(free_port(), "the inbox", "make demo INBOX_PORT=")


def test_a_second_demo_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    with preconditions.claim_state_directory(tmp_path):
        (tmp_path / "logs").mkdir()
        with pytest.raises(
            preconditions.CannotStart, match=f"another demo is running from this directory .process {os.getpid()}"
        ):
            preconditions.claim_state_directory(tmp_path)
    with preconditions.claim_state_directory(tmp_path):
        assert not (tmp_path / "logs").exists()


def test_without_its_packages_the_demo_says_so_in_one_sentence(tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-S", "-m", "demo", "--once"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert answer.stderr.count("\n") == 1
    assert "apache-airflow" in answer.stderr
    assert "make demo" in answer.stderr
