"""Reading a large XML file piece by piece, with the line of every element.

CVAT writes a whole task into one file; here one child of its root is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax import SAXParseException
from xml.sax.handler import ContentHandler

from detect_tl.core.errors import DataError
from detect_tl.formats.xml import broken, refused

_CHUNK = 1 << 16


@dataclass(slots=True)
class Node:
    """An element: its text as it stands, and the line of the file on which it begins."""

    tag: str
    attributes: dict[str, str]
    line: int
    text: str = ""
    children: list[Node] = field(default_factory=list)

    def all(self, tag: str) -> Iterator[Node]:
        """The children of this name."""
        return (child for child in self.children if child.tag == tag)

    def find(self, *path: str) -> Node | None:
        """The first descendant along a path of names."""
        node: Node | None = self
        for tag in path:
            node = None if node is None else next(node.all(tag), None)
        return node

    def text_of(self, *path: str) -> str:
        """The stripped text of the first descendant along a path; empty when there is none."""
        node = self.find(*path)
        return "" if node is None else node.text.strip()


def children_of(path: Path, root: str) -> Iterator[Node]:
    """Every child of the root element, whole, as soon as it ends.

    Raises DataError, with the line, for a file that is broken, malicious or has another root.
    """
    from defusedxml.common import DefusedXmlException
    from defusedxml.expatreader import create_parser

    parser = create_parser()
    builder = _Builder(parser)
    parser.setContentHandler(builder)
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                parser.feed(chunk)
                _refuse_root(builder.root, root, path)
                yield from builder.take()
        parser.close()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path) from error
    except SAXParseException as error:
        raise broken(error.getMessage(), path, error.getLineNumber()) from error
    except DefusedXmlException as error:
        raise refused(path) from error
    except (ValueError, LookupError) as error:  # an encoding that nobody knows
        raise DataError(f"broken XML: {error}", path=path) from error
    yield from builder.take()


def _refuse_root(found: str, wanted: str, path: Path) -> None:
    if found and found != wanted:
        raise DataError(f"its root is <{found}>, not <{wanted}>", path=path)


class _Builder(ContentHandler):
    """Builds the children of the root; `take` hands out those that are complete."""

    def __init__(self, locator: Any) -> None:
        super().__init__()
        self.root = ""
        self._locator = locator
        self._done: list[Node] = []
        self._open: list[Node] = []
        self._words: list[str] = []

    def take(self) -> list[Node]:
        done, self._done = self._done, []
        return done

    def startElement(self, name: str, attrs: Any) -> None:  # noqa: N802 - the name SAX calls
        self._words.clear()
        if not self.root:
            self.root = name
            return
        node = Node(name, dict(attrs.items()), self._locator.getLineNumber())
        if self._open:
            self._open[-1].children.append(node)
        self._open.append(node)

    def characters(self, content: str) -> None:
        self._words.append(content)

    def endElement(self, name: str) -> None:  # noqa: N802 - the name SAX calls
        del name
        if not self._open:
            return
        node = self._open.pop()
        if not node.children:  # the text around children is only their indentation
            node.text = "".join(self._words)
        self._words.clear()
        if not self._open:
            self._done.append(node)
