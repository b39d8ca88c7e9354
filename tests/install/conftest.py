"""The wheel that the tests install, built once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.clean_environment import uv


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> Path:
    built = tmp_path_factory.mktemp("wheel")
    uv("build", "--quiet", "--wheel", "--out-dir", built)
    [found] = built.glob("*.whl")
    return found
