"""Small charts as SVG markup: numbers in, a self-contained drawing out, whose colours the page's style decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_STEP, _BAR, _HEIGHT = 8, 6, 40
"""Units of the drawing: from bar to bar, a bar's width, and the chart's height."""


def bar_chart(values: Sequence[float | None], tone: Callable[[float], str], *, top: float | None = None) -> str:
    """A bar for each value, oldest first; a gap where there is none.

    tone: the class that a value's bar is drawn in; its colour is the page's. top: what reaches full height; the highest
    value unless given. A value of zero is still drawn, as a line on the ground.
    """
    known = [value for value in values if value is not None]
    full = top if top is not None else max(known, default=0.0)
    paths: dict[str, list[str]] = {}
    for place, value in enumerate(values):
        if value is not None:
            height = max(1.5, min(value / full, 1.0) * (_HEIGHT - 2)) if full > 0 else 1.5
            step = f"M{place * _STEP} {_HEIGHT}v-{height:.1f}h{_BAR}v{height:.1f}z"
            paths.setdefault(tone(value), []).append(step)
    drawn = "".join(f'<path class="{name}" d="{"".join(steps)}"/>' for name, steps in paths.items())
    return _drawing(len(values), drawn)


def band_chart(values: Sequence[float | None], *, usual: tuple[float, float] | None = None) -> str:
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
    return _drawing(len(values), f'{band}<polyline class="line" points="{line}"/>{dot}' if points else band)


def _drawing(count: int, content: str) -> str:
    width = max(count, 1) * _STEP
    return (
        f'<svg viewBox="0 0 {width} {_HEIGHT}" width="{width}" height="{_HEIGHT}" aria-hidden="true" focusable="false">'
        f"{content}</svg>"
    )
