"""Ctrl-C, SIGTERM and a closed terminal all end the demo alike: by an exception that unwinds what it started."""

from __future__ import annotations

import signal
from typing import NoReturn

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """A signal asked the demo to end; not an Exception, so that nothing on the way swallows it."""


def stop_on_signals() -> None:
    for number in _ENDING:
        signal.signal(number, _stop)


def finish_undisturbed() -> None:
    """From here on signals are ignored: stopping takes a bounded time, and half of it would leave processes behind."""
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)


def _stop(_number: int, _frame: object) -> NoReturn:
    raise Stopped
