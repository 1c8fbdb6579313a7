"""Reading XML that others wrote: no entity bombs, and errors that name the line."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element
from xml.sax.handler import ContentHandler

from detect_tl.core.errors import DataError


def read_xml(path: Path) -> Element:
    """Parse an XML file; raise DataError, with the line, when it is broken or malicious."""
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring

    try:
        root: Element = fromstring(path.read_bytes())
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path) from error
    except ParseError as error:
        raise DataError(
            f"broken XML: {str(error).partition(':')[0]}",
            path=path,
            line=error.position[0],
            hint="The file was cut off or edited by hand; export it again.",
        ) from error
    except DefusedXmlException as error:
        raise DataError(
            "refused: the XML declares entities, which can blow up memory or read other files",
            path=path,
            hint="No annotation tool writes this; remove the <!DOCTYPE …> from the file.",
        ) from error
    except (ValueError, LookupError) as error:
        raise DataError(f"broken XML: {error}", path=path) from error
    return root


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


def text_of(element: Element, tag: str, default: str = "") -> str:
    """The stripped text of a child, or `default` where there is none."""
    return (element.findtext(tag) or default).strip()
