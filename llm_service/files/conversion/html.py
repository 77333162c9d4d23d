"""HTML pages to Markdown."""

from __future__ import annotations


def to_markdown(source: str) -> str:
    """Markdown: headings, lists, tables and links stay; scripts and styles go."""
    from markitdown.converters import HtmlConverter  # an extra, and half a second

    return str(HtmlConverter().convert_string(source).markdown)
