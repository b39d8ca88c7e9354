"""The mistakes in a registry entry, in one line: the job, the field, the value, and what to write instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

_SHOWN = 60


def describe_mistakes(entry: Any, errors: list[Any], fields: Mapping[str, Any]) -> str:
    """Describe every mistake that pydantic found in `entry`; `fields` are the model's, to suggest names."""
    name = entry.get("name") if isinstance(entry, Mapping) else None
    job = f"job {str(name)[:100]!r}" if name else "a job without a name"
    return f"{job}: {'; '.join(_describe(found, fields) for found in errors)}"


def _describe(found: Mapping[str, Any], fields: Mapping[str, Any]) -> str:
    place = [str(part) for part in found["loc"]]
    shown = [part[:_SHOWN] if part.replace("_", "").isalnum() else f"{part!r:.{_SHOWN}}" for part in place]
    where = f"{'.'.join(shown)}: " if place else ""
    kind, value = found["type"], found.get("input")
    if kind == "extra_forbidden":
        return f"{where}no such field{_suggestion(place[-1], fields)}"
    if kind == "missing":
        return f"{where}it is missing; write the job_name that its runs are logged under"
    if kind != "value_error" and value is None:
        return f"{where}it is null; {'write the job_name' if place == ['name'] else 'leave it out for its default'}"
    return where + _DESCRIPTIONS.get(kind, _in_its_words)(found, fields[place[0]] if place else None)


def _suggestion(word: str, fields: Mapping[str, Any]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only for a mistake

    near = get_close_matches(word, fields, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; the fields are {', '.join(fields)}"


def _no_text(found: Mapping[str, Any], _: Any) -> str:
    value = found["input"]
    hint = "write text" if isinstance(value, (list, tuple, dict)) else "put it in quotes to make it text"
    return f"{value!r:.{_SHOWN}} is {_called(value)} and not text; {hint}"


def _no_list(found: Mapping[str, Any], field: Any) -> str:
    example = ", ".join((field.examples or [["one", "two"]])[0])
    return f"{found['input']!r:.{_SHOWN}} is {_called(found['input'])} and not a list; write it like [{example}]"


def _no_number(found: Mapping[str, Any], _: Any) -> str:
    whole = "" if found["type"] == "float_type" else "whole "
    return (
        f"{found['input']!r:.{_SHOWN}} is {_called(found['input'])} and not a {whole}number; write one without quotes"
    )


def _out_of_bounds(found: Mapping[str, Any], _: Any) -> str:
    bounds = found["ctx"]
    bound = f"at least {bounds['ge']:g}" if "ge" in bounds else f"at most {bounds['le']:g}"
    return f"{found['input']!r:.{_SHOWN}} is out of bounds; write {bound}"


def _in_its_words(found: Mapping[str, Any], _: Any) -> str:
    return f"{found['msg']} (got {found['input']!r:.{_SHOWN}})"


def _neither_true_nor_false(found: Mapping[str, Any], _: Any) -> str:
    return f"{found['input']!r:.{_SHOWN}} is neither true nor false; write one of them, without quotes"


_DESCRIPTIONS: Mapping[str, Callable[[Mapping[str, Any], Any], str]] = {
    "value_error": lambda found, _: str(found["ctx"]["error"]),
    "string_type": _no_text,
    "tuple_type": _no_list,
    "bool_type": _neither_true_nor_false,
    "int_type": _no_number,
    "int_from_float": _no_number,
    "float_type": _no_number,
    "greater_than_equal": _out_of_bounds,
    "less_than_equal": _out_of_bounds,
}
"""By pydantic's error type."""


def _called(value: Any) -> str:
    """The value's type in YAML's terms."""
    if isinstance(value, bool):
        return "true or false"
    for types, called in _CALLED:
        if isinstance(value, types):
            return called
    return f"a {type(value).__name__}"


_CALLED: tuple[tuple[tuple[type, ...], str], ...] = (
    ((int, float), "a number"),
    ((str,), "text"),
    ((dict,), "a mapping"),
    ((list, tuple, set, frozenset), "a list"),
)
