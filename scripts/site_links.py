"""
A hook of mkdocs: what the repository and Sphinx understand, as the site can show it.

Links that leave the folder docs/ become plain text: the site does not hold these files. Roles of
docstrings (``:meth:`` ...) become the code they name.
"""

from __future__ import annotations

import re
from typing import Any

_ROLE = re.compile(r':(?:meth|class|func|data|mod|attr):(?=<code>)')
_OUTSIDE = re.compile(r'(?<!!)\[([^\]]+)\]\(\.\./[^)]*\)')


def on_page_markdown(markdown: str, **unused: Any) -> str:
    """Return the text of a page without links to files outside docs/."""
    return _OUTSIDE.sub(r'\1', markdown)


def on_page_content(html: str, **unused: Any) -> str:
    """Return a rendered page without the roles of docstrings."""
    return _ROLE.sub('', html)
