"""The page's templates, its two static files, and the headers that block everything else."""

from __future__ import annotations

import base64
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode

import jinja2
from fastapi.responses import HTMLResponse, Response

from airflow_jobmon.core.model.alerts import KIND_TITLES
from airflow_jobmon.core.text import fit, one_line, paragraph
from airflow_jobmon.core.times import iso, relative, roughly, to_the_second
from airflow_jobmon.web.security import HEADERS

NOTHING = "\u2013"
"""Shown in place of a missing figure."""

STATIC = {"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8"}
"""Our own files by name, with their types."""


def render(template: str, *, status: int = 200, **given: Any) -> HTMLResponse:
    """A page whose style and script are our two static files."""
    return HTMLResponse(_render(template, style=None, **given), status_code=status, headers=HEADERS)


def render_alone(template: str, *, status: int, **given: Any) -> HTMLResponse:
    """A page with inline style and no script, for users who lack permission to load our files."""
    style = static_file("page.css").decode()
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; frame-ancestors 'self'"
    return HTMLResponse(
        _render(template, style=style, **given),
        status_code=status,
        headers={**HEADERS, "Content-Security-Policy": policy},
    )


def serve_static(name: str) -> Response:
    """One of STATIC, cached by the browser for good: pages request it by the hash of its content."""
    headers = {"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
    return Response(static_file(name), media_type=STATIC[name], headers=headers)


@cache
def static_file(name: str) -> bytes:
    return (files("airflow_jobmon.web") / "static" / name).read_bytes()


def _render(template: str, **given: Any) -> str:
    return _environment().get_template(f"{template}.html.jinja").render(**given)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("airflow_jobmon.web.page", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "iso": iso,
        "moment": to_the_second,
        "relative": relative,
        "roughly": roughly,
        "name": _name,
        "line": one_line,
        "paragraph": paragraph,
        "kind": lambda kind: KIND_TITLES.get(kind, kind.replace("_", " ").title()),
        "query": _query,
        "whole": lambda number: NOTHING if number is None else f"{number:,.0f}",
    }
    environment.globals["asset"] = lambda name: f"static/{name}?v={sha256(static_file(name)).hexdigest()[:12]}"
    return environment


def _name(job_name: str) -> str:
    return fit(one_line(job_name, 2000), 200)


def _query(parameters: dict[str, Any]) -> str:
    """The query part of the page's address, without empty parameters."""
    given = {name: value for name, value in parameters.items() if value not in {None, ""}}
    return f"?{urlencode(given)}" if given else "./"
