"""Parse XML annotations of data sets, which may come from anybody.

    root = parse_xml(data, where)
"""

from __future__ import annotations

from xml.etree import ElementTree

from .limits import refuse_size

MAX_XML_BYTES = 1 << 20


class _WithoutDoctype(ElementTree.TreeBuilder):
    """Refuses a document type, the only place where entities can be declared (annotations of data sets have none)."""

    def doctype(self, name: str, _public: str | None, _system: str | None) -> None:
        raise ValueError(f"a document type ({name}) is not allowed")


def parse_xml(data: bytes, where: str) -> ElementTree.Element:
    """Return the root element.

    Raises :class:`UserError` for more than ``MAX_XML_BYTES``, ``ValueError`` for a document type, and
    ``ElementTree.ParseError`` for what is no XML."""
    refuse_size(len(data), where, MAX_XML_BYTES)
    return ElementTree.fromstring(data, ElementTree.XMLParser(target=_WithoutDoctype()))
