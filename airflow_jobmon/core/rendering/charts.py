"""Small charts as SVG markup: numbers in, a self-contained drawing out, whose colours the page's style decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from statistics import median

_STEP, _BAR, _HEIGHT = 8, 6, 40
"""Units of the drawing: from bar to bar, a bar's width, and the chart's height."""

_TILE = 20
"""Units of a strip's height."""


def bar_chart(
    values: Sequence[float | None],
    tone: Callable[[float], str],
    *,
    top: float | None = None,
    hints: Sequence[str] = (),
) -> str:
    """A bar for each value, oldest first; a gap where there is none.

    tone: the class that a value's bar is drawn in; its colour is the page's. top: what reaches full height; the highest
    value unless given. A value of zero is still drawn, as a line on the ground. hints: what a pointer on each place
    is told.
    """
    known = [value for value in values if value is not None]
    full = top if top is not None else max(known, default=0.0)
    paths: dict[str, list[str]] = {}
    for place, value in enumerate(values):
        if value is not None:
            height = max(1.5, min(value / full, 1.0) * (_HEIGHT - 2)) if full > 0 else 1.5
            step = f"M{place * _STEP} {_HEIGHT}v-{height:.1f}h{_BAR}v{height:.1f}z"
            paths.setdefault(tone(value), []).append(step)
    return _drawing(len(values), _HEIGHT, _paths(paths) + _hints(hints, _HEIGHT))


def band_chart(
    values: Sequence[float | None], *, usual: tuple[float, float] | None = None, hints: Sequence[str] = ()
) -> str:
    """A line through the values with a dot on the last; `usual` (lowest, highest) is drawn as a band behind it."""
    known = [value for value in values if value is not None]
    top = max([*known, *(usual or ())], default=0.0) or 1.0

    def height(value: float) -> float:
        return _HEIGHT - 2 - value / top * (_HEIGHT - 4)

    points = [(place * _STEP + _BAR / 2, height(value)) for place, value in enumerate(values) if value is not None]
    band = ""
    if usual is not None:
        low, high = usual
        width = len(values) * _STEP
        band = f'<path class="band" d="M0 {height(high):.1f}H{width}V{height(low):.1f}H0z"/>'
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dot = f'<circle class="dot" cx="{points[-1][0]:.1f}" cy="{points[-1][1]:.1f}" r="2.5"/>' if points else ""
    drawn = f'{band}<polyline class="line" points="{line}"/>{dot}' if points else band
    return _drawing(len(values), _HEIGHT, drawn + _hints(hints, _HEIGHT))


def strip_chart(tones: Sequence[str], *, hints: Sequence[str] = ()) -> str:
    """A tile of the same height for each place, oldest first, drawn in the class that is given for it."""
    paths: dict[str, list[str]] = {}
    for place, tone in enumerate(tones):
        paths.setdefault(tone, []).append(f"M{place * _STEP} 0h{_BAR}v{_TILE}h-{_BAR}z")
    return _drawing(len(tones), _TILE, _paths(paths) + _hints(hints, _TILE), stretches=True)


def usual_band(values: Sequence[float | None]) -> tuple[float, float] | None:
    """The middle half of the values, from the fifth on that is known."""
    known = sorted(value for value in values if value is not None)
    if len(known) < 5:
        return None
    half = len(known) // 2
    return median(known[:half]), median(known[-half:])


def _paths(paths: dict[str, list[str]]) -> str:
    return "".join(f'<path class="{name}" d="{"".join(steps)}"/>' for name, steps in paths.items())


def _hints(hints: Sequence[str], height: int) -> str:
    """Over the drawing, one rectangle for each place that lets its text be read."""
    return "".join(
        f'<rect class="hint" x="{place * _STEP}" width="{_STEP}" height="{height}"><title>{escape(hint)}</title></rect>'
        for place, hint in enumerate(hints)
    )


def _drawing(count: int, height: int, content: str, *, stretches: bool = False) -> str:
    width = max(count, 1) * _STEP
    ratio = ' preserveAspectRatio="none"' if stretches else ""
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}"{ratio} aria-hidden="true"'
        f' focusable="false">{content}</svg>'
    )
