"""Splits jobs into batches, and keeps one job that the database cannot store from stopping the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

import psycopg

from airflow_jobmon.monitoring.gc_pause import gc_paused
from airflow_jobmon.postgres.pipeline import Sync

log = logging.getLogger(__name__)

J = TypeVar("J")
T = TypeVar("T")

UNSTORABLE = (psycopg.DataError, psycopg.errors.ProgramLimitExceeded)

BATCH = 500
"""Jobs or events per transaction: few enough to hold no lock for long."""


def batches(jobs: Iterable[J], size: int = BATCH) -> Iterator[list[J]]:
    left = iter(jobs)
    while batch := list(islice(left, size)):
        yield batch


def each_batch(jobs: Iterable[J], evaluate_batch: Callable[[Sequence[J]], T]) -> Iterator[T]:
    """Evaluate in batches; where the database cannot store one, evaluate its jobs one by one and skip the culprit."""
    for batch in batches(jobs):
        try:
            with gc_paused():
                evaluated = evaluate_batch(batch)
            yield evaluated
        except UNSTORABLE:
            for job in batch:
                try:
                    yield evaluate_batch([job])
                except UNSTORABLE:
                    log.exception("cannot store the evaluation of %.200r", job)


def one_ahead(requests: Iterable[T], sync: Sync) -> Iterator[T]:
    """Yield each request once the next one is sent, so that the database works on that meanwhile.

    Each arrives before the next one is sent: reading a result waits for everything that was requested by then.
    """
    last: list[T] = []
    for request in requests:
        yield from last
        sync()
        last = [request]
    yield from last
