"""Drawings are well-formed for any numbers, and each place has its tooltip."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_jobmon.core.rendering.charts import band_chart, bar_chart, strip_chart, usual_band

SVG = "{http://www.w3.org/2000/svg}"
values = st.lists(st.none() | st.floats(0, 1e12), max_size=40)


def parsed(drawing: str) -> ET.Element:
    return ET.fromstring(drawing.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))


@given(values, st.text("<>&\"'ab", max_size=10))
def test_every_drawing_is_well_formed_and_hints_are_text(numbers, hint):
    hints = [hint] * len(numbers)
    for drawing in (
        bar_chart(numbers, lambda _: "plain", hints=hints),
        band_chart(numbers, usual=usual_band(numbers), hints=hints),
        strip_chart(["good" if number else "none" for number in numbers], hints=hints),
    ):
        titles = [title.text or "" for title in parsed(drawing).iter("{http://www.w3.org/2000/svg}title")]
        assert titles == hints


@given(st.lists(st.sampled_from(["good", "bad", "none"]), max_size=40))
def test_a_strip_has_a_tile_for_each_place(tones):
    paths = {path.get("class"): path.get("d") for path in parsed(strip_chart(tones)).iter(f"{SVG}path")}
    assert {tone: steps.count("M") for tone, steps in paths.items()} == {tone: tones.count(tone) for tone in set(tones)}


@given(values)
def test_the_usual_band_lies_within_the_values(numbers):
    known = [number for number in numbers if number is not None]
    band = usual_band(numbers)
    assert (band is None) == (len(known) < 5)
    if band:
        assert min(known) <= band[0] <= band[1] <= max(known)


@pytest.mark.parametrize(("numbers", "band"), [([1, 2, None, 3, 4], None), ([1, 2, 3, 4, 100], (1.5, 52.0))])
def test_the_usual_band_is_the_middle_half_from_the_fifth_value_on(numbers, band):
    assert usual_band(numbers) == band
