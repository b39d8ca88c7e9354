"""The files that every migrate installs: their folder says what they hold, their number when they are installed."""

from __future__ import annotations

import re

import pytest

from airflow_jobmon.postgres.queries import sql_directory
from airflow_jobmon.postgres.schema import after_attach, before_attach

FILES = {
    path.name: (folder, path.read_text(encoding="utf-8"))
    for folder in ("functions", "views")
    for path in (sql_directory() / folder).iterdir()
}
CREATED = re.compile(r"^CREATE (?:OR REPLACE )?(FUNCTION|VIEW) airflow_jobmon\.(\w+)", re.MULTILINE)


def test_the_numbers_run_on_through_both_folders_without_a_gap():
    assert sorted(int(name[:2]) for name in FILES) == list(range(1, len(FILES) + 1))


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_file_holds_what_its_folder_says(name):
    folder, text = FILES[name]
    kinds = {kind for kind, _ in CREATED.findall(text)}
    assert kinds == {"FUNCTION" if folder == "functions" else "VIEW"}


def test_each_function_and_view_is_installed_once():
    installed = [name for _, name in CREATED.findall(before_attach() + "\n" + after_attach())]
    assert len(installed) == len(set(installed))
    assert set(installed) == {name for _, text in FILES.values() for _, name in CREATED.findall(text)}


def test_the_readme_names_the_numbers_in_order():
    views = sorted(name[:2] for name, (folder, _) in FILES.items() if folder == "views")
    before, last = int(views[0]) - 1, len(FILES)
    readme = (sql_directory() / "README.md").read_text(encoding="utf-8")
    assert f"`functions/01` to `{before}`" in readme
    assert ", ".join(f"`views/{number}`" for number in views) in readme
    assert f"`functions/{int(views[-1]) + 1}` to `{last}`" in readme


def test_no_view_is_installed_before_the_view_of_the_job_log_is_there():
    assert {kind for kind, _ in CREATED.findall(before_attach())} == {"FUNCTION"}
