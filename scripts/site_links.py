"""
A hook of mkdocs: links that leave the folder docs/ become plain text on the site.

In the repository they lead to files; the site does not hold these.
"""

from __future__ import annotations

import re
from typing import Any

_OUTSIDE = re.compile(r'(?<!!)\[([^\]]+)\]\(\.\./[^)]*\)')


def on_page_markdown(markdown: str, **unused: Any) -> str:
    """Return the text of a page without links to files outside docs/."""
    return _OUTSIDE.sub(r'\1', markdown)
