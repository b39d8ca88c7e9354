from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_jobmon.core.text import MASK, fit, mask_secrets, one_line, paragraph, plain_json, show_invisible
from tests.support.hostile_alerts import texts

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("postgres://app:hunter2@db:5432/prod", "postgres://app:***@db:5432/prod"),
        ("postgres://app:hun@ter2@db/prod", "postgres://app:***@db/prod"),
        ("postgres://app:hun/ter2@db/prod", "postgres://app:***@db/prod"),
        ("postgresql+psycopg://:hunter2@db", "postgresql+psycopg://:***@db"),
        ("https://hunter2@github.com/x.git", "https://***@github.com/x.git"),
        ("cut off in postgres://app:hunt", "cut off in postgres://app:***"),
        ("GET https://x/y?token=hunter2&page=2 failed", "GET https://x/y?token=***&page=2 failed"),
        ("https://x/?a=1&X-Amz-Signature=hunter2", "https://x/?a=1&X-Amz-Signature=***"),
        ("https://x/?access_token=hunter2#frag", "https://x/?access_token=***"),
        ("https://x/cb#id_token=hunter2", "https://x/cb#id_token=***"),
        ("host=db user=app password=hunter2 dbname=x", "host=db user=app password=*** dbname=x"),
        ("password='hunter 2' x", "password=*** x"),
        ('{"api_key": "hunter2", "a": 1}', '{"api_key": ***, "a": 1}'),
        ("Authorization: Bearer hunter2hunter2", "Authorization: Bearer ***"),
        ("https://hooks.slack.com/services/T0/B0/hunter2", "https://hooks.slack.com/services/***"),
    ],
)
def test_secrets_in_urls_and_settings_are_masked(text, masked):
    assert mask_secrets(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "cannot connect to http://localhost:8080/health",
        "http://localhost:8080: connection refused",
        "see https://registry.npmjs.org/@scope/pkg",
        "https://host:8443/@scope",
        "Unexpected token: }",
        'password authentication failed for user "app"',
        "https://x/?page=2&sort=name",
        "a@b.c wrote to d@e.f",
        "http://[::1]:8080/x",
        "monkey=1 keyboard=2",
    ],
)
def test_other_text_is_not_masked(text):
    assert mask_secrets(text) == text


@given(
    st.text(alphabet=st.characters(exclude_characters=" @\t\n\r", categories=["L", "N", "P"]), min_size=1),
    st.integers(),
)
def test_a_password_in_a_url_never_shows(password, salt):
    secret = f"s3cr3t{salt}{password}"
    assert secret not in mask_secrets(f"error: postgres://user:{secret}@host/db is away")


@pytest.mark.parametrize(
    "piece", ["://a:", "://", "@", "?token=", "password=", "bearer ", "a:b@", "://a:b", '"secret":']
)
def test_masking_stays_fast_on_a_megabyte_of_half_matches(piece):
    """The bound is generous: only a search that starts again at every character exceeds it, by many minutes."""
    text = piece * (1_000_000 // len(piece))
    start = time.perf_counter()
    one_line(text)
    assert time.perf_counter() - start < 60


@given(texts)
def test_nothing_invisible_is_left(text):
    for shown in (
        one_line(text),
        show_invisible(text).replace("\n", "").replace("\t", ""),
        paragraph(text).replace("\n", ""),
    ):
        for char in shown:
            assert unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def test_a_bidi_override_is_made_visible():
    assert one_line("invoice\u202efdp.exe") == "invoice\\u202efdp.exe"


@given(texts, st.integers(1, 60))
def test_a_cut_text_fits_and_is_a_beginning(text, limit):
    cut = fit(text, limit)
    assert sum(2 if char > "\uffff" else 1 for char in cut) <= limit
    assert cut == text or text.startswith(cut.removesuffix("…"))


@given(texts, st.integers(1, 60))
def test_a_cut_by_escaped_size_fits(text, limit):
    size = lambda char: 5 if char == "&" else 1  # noqa: E731
    assert sum(map(size, fit(text, limit, size))) <= limit


@given(st.text(max_size=30), st.integers(1, 20))
def test_what_fits_is_not_cut(text, limit):
    if len(text.encode("utf-16-le", "surrogatepass")) // 2 <= limit:
        assert fit(text, limit) == text


def test_a_letter_keeps_its_accent():
    assert fit("abe\u0301cdef", 4) == "ab…"


@given(texts)
def test_text_for_json_is_valid_unicode(text):
    plain_json(text, 100).encode("utf-8")


def test_the_mask_does_not_reveal_the_length():
    assert MASK == "***"
