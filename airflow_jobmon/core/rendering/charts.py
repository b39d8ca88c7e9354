"""Small self-contained charts as SVG markup; the page's style decides the colours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from statistics import median

_STEP, _BAR, _HEIGHT = 8, 6, 40
"""In units of the drawing: distance between bars, width of a bar, height of the chart."""

_TILE = 20
"""Height of a strip, in units of the drawing."""


def bar_chart(
    values: Sequence[float | None],
    tone: Callable[[float], str],
    *,
    top: float | None = None,
    hints: Sequence[str] = (),
) -> str:
    """A bar for each value, oldest first; None is a gap.

    tone: the CSS class of a value's bar. top: the value of full height, by default the highest. A value of zero is
    drawn as a line on the baseline. hints: the tooltip of each place.
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
    """A line through the values with a dot on the last one, in front of the band `usual` (lowest, highest)."""
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
    """A tile of equal height for each place, oldest first, in the given CSS class."""
    paths: dict[str, list[str]] = {}
    for place, tone in enumerate(tones):
        paths.setdefault(tone, []).append(f"M{place * _STEP} 0h{_BAR}v{_TILE}h-{_BAR}z")
    return _drawing(len(tones), _TILE, _paths(paths) + _hints(hints, _TILE), stretches=True)


def usual_band(values: Sequence[float | None]) -> tuple[float, float] | None:
    """The middle half of the known values; None with fewer than five."""
    known = sorted(value for value in values if value is not None)
    if len(known) < 5:
        return None
    half = len(known) // 2
    return median(known[:half]), median(known[-half:])


def _paths(paths: dict[str, list[str]]) -> str:
    return "".join(f'<path class="{name}" d="{"".join(steps)}"/>' for name, steps in paths.items())


def _hints(hints: Sequence[str], height: int) -> str:
    """A transparent rectangle over each place, with its tooltip."""
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
