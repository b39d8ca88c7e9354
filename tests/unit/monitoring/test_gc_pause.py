"""The collector is paused while any thread needs it, and is afterwards as it was."""

from __future__ import annotations

import gc
import threading
from contextlib import suppress

import pytest

from airflow_jobmon.monitoring.gc_pause import gc_paused


@pytest.fixture(autouse=True)
def collector_as_it_was():
    enabled = gc.isenabled()
    yield
    (gc.enable if enabled else gc.disable)()


def test_nothing_is_collected_until_the_block_ends_even_by_an_error():
    gc.enable()
    with suppress(LookupError), gc_paused():
        assert not gc.isenabled()
        raise LookupError
    assert gc.isenabled()


def test_a_collector_that_was_disabled_before_stays_disabled():
    gc.disable()
    with gc_paused():
        pass
    assert not gc.isenabled()


def test_it_stays_paused_until_the_last_of_several_threads_is_done():
    gc.enable()
    inside, leave = threading.Event(), threading.Event()

    def hold():
        with gc_paused():
            inside.set()
            leave.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    assert inside.wait(60)
    with gc_paused():
        pass
    assert not gc.isenabled()
    leave.set()
    thread.join()
    assert gc.isenabled()
