"""Draws which part of airflow_jobmon imports which, as a Mermaid diagram: python -m tools.import_graph

A room is a module or folder at the top of the package, or a folder of core; core's text.py and times.py are the room
`core`. An arrow that follows from other arrows (a -> c beside a -> b -> c) is not drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import grimp

PACKAGE = "airflow_jobmon"

Graph = Mapping[str, set[str]]
"""Each room, and the rooms that it imports from."""


def import_graph() -> Graph:
    modules = grimp.build_graph(PACKAGE)
    graph: dict[str, set[str]] = {room_of(module): set() for module in modules.modules if module != PACKAGE}
    for module in modules.modules - {PACKAGE}:
        for imported in modules.find_modules_directly_imported_by(module) - {PACKAGE}:
            graph[room_of(module)].add(room_of(imported))
    for room, imports in graph.items():
        imports.discard(room)
    return graph


def room_of(module: str) -> str:
    match module.split(".")[1:]:
        case ["core"] | ["core", "text" | "times"]:
            return "core"
        case ["core", folder, *_]:
            return f"core.{folder}"
        case [top, *_]:
            return top
    raise ValueError(f"{module} is not a module of {PACKAGE}")


def circle(graph: Graph) -> list[str]:
    """Rooms that import each other, the first again at the end; empty if there are none."""
    done: set[str] = set()

    def walk(path: list[str]) -> list[str]:
        for room in sorted(graph[path[-1]]):
            if room in path:
                return [*path[path.index(room) :], room]
            if room not in done and (found := walk([*path, room])):
                return found
        done.add(path[-1])
        return []

    return next((found for room in sorted(graph) if room not in done and (found := walk([room]))), [])


def mermaid(graph: Graph) -> Iterator[str]:
    """The lines of the diagram; the graph must have no circle."""
    yield "graph TD"
    for room in sorted(graph):
        yield f"  {room}"
        implied = {further for imported in graph[room] for further in _all_below(graph, imported)}
        for imported in sorted(graph[room] - implied):
            yield f"  {room} --> {imported}"


def _all_below(graph: Graph, room: str) -> set[str]:
    return graph[room].union(*(_all_below(graph, imported) for imported in graph[room]))


if __name__ == "__main__":
    for line in mermaid(import_graph()):
        print(line)
