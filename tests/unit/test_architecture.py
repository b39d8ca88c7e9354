"""The parts of the package are few enough to know, and none imports from one that imports from it."""

from __future__ import annotations

import pytest

from tools.import_graph import Graph, circle, import_graph, mermaid, room_of


@pytest.fixture(scope="module")
def graph() -> Graph:
    return import_graph()


def test_there_are_at_most_35_rooms(graph: Graph) -> None:
    assert len(graph) <= 35, sorted(graph)


def test_no_rooms_import_each_other(graph: Graph) -> None:
    assert circle(graph) == []


def test_the_graph_has_the_imports_of_the_package(graph: Graph) -> None:
    assert "core.model" in graph["postgres"]
    assert "postgres" not in graph["core.model"]


def test_a_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"d", "b"}, "d": set()}) == ["b", "c", "b"]


@pytest.mark.parametrize(
    ("module", "room"),
    [
        ("airflow_jobmon.sensors", "sensors"),
        ("airflow_jobmon.postgres.migrate", "postgres"),
        ("airflow_jobmon.core.rules.assess", "core.rules"),
        ("airflow_jobmon.core.rules", "core.rules"),
        ("airflow_jobmon.core.text", "core"),
        ("airflow_jobmon.core", "core"),
    ],
)
def test_a_room_is_a_module_or_folder_at_the_top_or_a_folder_of_core(module: str, room: str) -> None:
    assert room_of(module) == room


def test_the_diagram_leaves_out_arrows_that_follow_from_others() -> None:
    lines = list(mermaid({"a": {"b", "c"}, "b": {"c"}, "c": set()}))
    assert lines == ["graph TD", "  a", "  a --> b", "  b", "  b --> c", "  c"]
