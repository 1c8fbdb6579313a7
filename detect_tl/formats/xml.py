"""Reading XML that others wrote: no entity bombs, and errors that name the line."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element
from xml.sax.handler import ContentHandler

from detect_tl.core.errors import DataError

# A parser turns line ends and tabs into others, unless they are written as numbers.
LINE_ENDS = {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}

# Of the formats with an <annotation> root, these only stand in that of the LabelMe of the web.
LABELME_WEB = re.compile(rb"<polygon>\s*(<username>|<pt>)|<segm>|<imagesize>|<sourceAnnotation>")

# Without one of these a document cannot declare an entity, in any encoding of this kind.
_DECLARES = b"<!"
_ENCODING = re.compile(rb"""\s*<\?xml[^>]*encoding=["']([\w.-]+)["']""")
_LIKE_ASCII = re.compile(
    rb"utf-?8|us-ascii|ascii|iso-8859-\d+|latin-?1|windows-125\d", re.IGNORECASE
)


def read_xml(path: Path) -> Element:
    """Parse an XML file; raise DataError, with the line, when it is broken or malicious."""
    return parse_xml(read_bytes(path), path)


def read_bytes(path: Path) -> bytes:
    """The content of a file; raise DataError when it cannot be read."""
    try:
        with path.open("rb", buffering=0) as stream:
            return stream.read()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path) from error


def parse_xml(data: bytes, path: Path) -> Element:
    """Parse the content of `path`; raise DataError, with the line, when it is broken or malicious.

    A document that declares nothing is parsed by the standard library, several times as fast as
    under the guard of defusedxml, of which it has no need.
    """
    from xml.etree.ElementTree import fromstring as parse

    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring as parse_guarded

    try:
        root: Element = (parse if _is_harmless(data) else parse_guarded)(data)
    except ParseError as error:
        raise broken(str(error).partition(":")[0], path, error.position[0]) from error
    except DefusedXmlException as error:
        raise refused(path) from error
    except (ValueError, LookupError) as error:
        raise DataError(f"broken XML: {error}", path=path) from error
    return root


def broken(what: str, path: Path, line: int | None) -> DataError:
    """What to raise for a document that is not well-formed."""
    hint = "The file was cut off or edited by hand; export it again."
    return DataError(f"broken XML: {what}", path=path, line=line, hint=hint)


def refused(path: Path) -> DataError:
    """What to raise for a document that declares entities."""
    return DataError(
        "refused: the XML declares entities, which can blow up memory or read other files",
        path=path,
        hint="No annotation tool writes this; remove the <!DOCTYPE …> from the file.",
    )


def _is_harmless(data: bytes) -> bool:
    """Whether a document has no declarations, and is in an encoding that cannot hide them."""
    if _DECLARES in data or b"\0" in data:
        return False
    encoding = _ENCODING.match(data.removeprefix(b"\xef\xbb\xbf"))
    return encoding is None or bool(_LIKE_ASCII.fullmatch(encoding[1]))


def lines_of(path: Path, tag: str) -> list[int]:
    """Line numbers of the `tag` elements, in the order of the document.

    A second parse, made only when there is something to complain about.
    """
    from defusedxml.sax import parse

    handler = _Lines(tag)
    parse(str(path), handler)
    return handler.lines


class _Lines(ContentHandler):
    def __init__(self, tag: str) -> None:
        super().__init__()
        self._tag = tag
        self._locator: Any = None
        self.lines: list[int] = []

    def setDocumentLocator(self, locator: Any) -> None:  # noqa: N802 - the name SAX calls
        self._locator = locator

    def startElement(self, name: str, attrs: Any) -> None:  # noqa: N802 - the name SAX calls
        del attrs
        if name == self._tag:
            self.lines.append(self._locator.getLineNumber())


def number_of(element: Element, tag: str) -> float:
    """The number in a child; raise ValueError when there is none, or it is not finite."""
    text = text_of(element, tag)
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"<{tag}> is {text!r}, not a number") from None
    if not math.isfinite(value):
        raise ValueError(f"<{tag}> is {text!r}")
    return value


def text_of(element: Element, tag: str, default: str = "") -> str:
    """The stripped text of a child, or `default` where there is none."""
    return (element.findtext(tag) or default).strip()
