"""
Printing of the parameter table for people.

`python -m mafs_ros.parameter_docs` prints it as Markdown, with `--yaml` as the commented parameter
file `config/mafs_fusion.yaml`; with `--write` it renews that file and the tables of the documents
in the working directory.
"""

from __future__ import annotations

from pathlib import Path
import re
import sys
import textwrap

from mafs_ros.parameters import Parameter, TABLE

_YAML_HEAD = """\
# Parameters of fusion_node with their defaults, from `python -m mafs_ros.parameter_docs --yaml`.
# A copy with only the lines that differ is a good parameter file of your own. Lines marked
# [any time] can be changed while the node runs, the others while it is unconfigured.
/**:
  ros__parameters:
"""
# The table as it stands in a document: its first line and everything below that is a row.
_TABLE = re.compile(r'\| parameter \| type \|[^\n]*(?:\n\|[^\n]*)*')


def markdown_table() -> str:
    """Return the table as Markdown, one row for each parameter."""
    rows = [
        '| parameter | type | default | unit | range or choices | changes | meaning |',
        '|---|---|---|---|---|---|---|',
    ]
    for p in TABLE:
        when = 'any time' if p.dynamic else 'unconfigured'
        rows.append(
            f'| `{p.name}` | {p.kind.replace("_", " ")} | `{_yaml_value(p)}` | {p.unit} | '
            f'{p.describe_range()} | {when} | {p.description} |'
        )
    return '\n'.join(rows)


def yaml_file() -> str:
    """Return the parameter file with all defaults and comments."""
    lines = []
    for p in TABLE:
        when = ' [any time]' if p.dynamic else ''
        limits = p.describe_range()
        unit = f', in {p.unit}' if p.unit else ''
        accepted = f' Accepted: {limits}{unit}.' if limits else ''
        text = f'{p.description}{accepted}{when}'.replace('`', "'")
        lines += textwrap.wrap(
            text,
            99,
            initial_indent='    # ',
            subsequent_indent='    # ',
            break_long_words=False,
            break_on_hyphens=False,
        )
        # The parser of parameter files knows no empty list.
        off = '# ' if p.default == () else ''
        lines.append(f'    {off}{p.name}: {_yaml_value(p)}')
    return _YAML_HEAD + '\n'.join(lines) + '\n'


def _yaml_value(parameter: Parameter) -> str:
    """Return the default as it is written in YAML."""
    value = parameter.default
    if isinstance(value, bool):
        return str(value).lower()
    return repr(list(value) if isinstance(value, tuple) else value)


def write(root: Path) -> None:
    """Renew the parameter file and the table in docs/node.md of a source tree."""
    (root / 'config/mafs_fusion.yaml').write_text(yaml_file(), encoding='utf-8')
    table = markdown_table()
    document = root / 'docs/node.md'
    text = document.read_text(encoding='utf-8')
    document.write_text(_TABLE.sub(lambda _: table, text, count=1), encoding='utf-8')


def main(arguments: list[str]) -> None:
    """Print the Markdown table or the parameter file, or write both into the source tree."""
    if arguments == ['--write']:
        write(Path())
    else:
        sys.stdout.write(yaml_file() if arguments == ['--yaml'] else markdown_table() + '\n')


if __name__ == '__main__':
    main(sys.argv[1:])
