"""Which modules a part of this package needs, read from its source without running it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import detect_tl

NAME = "detect_tl"
PACKAGE = Path(detect_tl.__file__).parent


@dataclass(frozen=True, slots=True)
class Needs:
    """modules: files of this package. others: top-level modules of other packages."""

    modules: tuple[Path, ...]
    others: tuple[str, ...]


def find_needs(start: Path, names: Iterable[str] = ()) -> Needs:
    """What a file needs, and the named modules of this package, with all that these need in turn.

    Imports inside functions count, those for type checkers do not; nor does what the package's
    front page loads when it is asked for it.
    """
    modules: dict[str, Path] = {}
    others: set[str] = set()
    waiting = [*_imports(start), *names]
    while waiting:
        name = waiting.pop()
        top = name.partition(".")[0]
        if top != NAME:
            others.add(top)
        elif name not in modules and (path := _file(name)) is not None:
            modules[name] = path
            waiting += [*_imports(path), *_parents(name)]
    return Needs(tuple(sorted(modules.values())), tuple(sorted(others - sys.stdlib_module_names)))


def _parents(name: str) -> Iterator[str]:
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def _file(name: str) -> Path | None:
    """The file of a module; None for the name of something inside one."""
    place = PACKAGE.joinpath(*name.split(".")[1:])
    candidates = place / "__init__.py", place.with_name(f"{place.name}.py")
    return next((path for path in candidates if path.is_file()), None)


def _imports(path: Path) -> list[str]:
    """Full names of what a file imports: modules, or things inside them."""
    found = _Found()
    found.visit(ast.parse(path.read_text("utf-8")))
    return found.names


class _Found(ast.NodeVisitor):
    def __init__(self) -> None:
        self.names: list[str] = []

    def visit_Import(self, node: ast.Import) -> None:
        self.names += [alias.name for alias in node.names]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        assert node.module is not None, "imports in this package name their module"
        self.names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]

    def visit_If(self, node: ast.If) -> None:
        if not (isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            self.generic_visit(node)
