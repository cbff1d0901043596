"""Groups of pairs by file-name pattern, such as day and night."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
import re

from mafs_model.errors import ConfigError

# MSRS and MFNet name frames by number with D for day or N for night.
_DAY_NIGHT = re.compile(r'\d+[DN]')


def parse_groups(texts: Sequence[str]) -> dict[str, str]:
    """
    Parse NAME=PATTERN arguments.

    Raises:
        ConfigError: a text that is not NAME=PATTERN, or a name given twice.

    """
    groups: dict[str, str] = {}
    for text in texts:
        name, separator, pattern = text.partition('=')
        if not (name and separator and pattern):
            raise ConfigError(f'group must be NAME=PATTERN such as night=*N, got {text!r}')
        if name in groups:
            raise ConfigError(f'group {name!r} is given twice')
        groups[name] = pattern
    return groups


def group_names(names: Sequence[str], patterns: dict[str, str]) -> dict[str, list[str]]:
    """
    Sort names into groups; without patterns, day and night if the names are MSRS's and both occur.

    Args:
        names: file names without suffix.
        patterns: group name to shell pattern; a name may be in several groups.

    Raises:
        ConfigError: a pattern that matches nothing.

    """
    if not patterns and names and all(_DAY_NIGHT.fullmatch(name) for name in names):
        found = {
            'day': [n for n in names if n.endswith('D')],
            'night': [n for n in names if n.endswith('N')],
        }
        return found if all(found.values()) else {}
    groups = {}
    for group, pattern in patterns.items():
        groups[group] = [name for name in names if fnmatchcase(name, pattern)]
        if not groups[group]:
            raise ConfigError(
                f'group {group!r}: pattern {pattern!r} matches none of '
                f'{len(names)} names such as {names[0]!r}'
            )
    return groups
