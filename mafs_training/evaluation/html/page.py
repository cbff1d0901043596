"""The HTML page around a report: one file, no network, readable on a phone and in the dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from mafs_model.version import __version__

# A table of so many columns fits a phone.
_NARROW = 4

STYLE = """
:root{--bg:#f6f7f9;--card:#fff;--ink:#1b2330;--soft:#5d6878;--line:#e2e6ec;--grid:#e9ecf1;
--accent:#1f6feb;--best:#e3f1e6;--best-ink:#14622d;--warn:#fff4dc;--warn-ink:#7a4b00;--shade:rgba(27,35,48,.28);
--s0:#1f6feb;--s1:#d9480f;--s2:#2b8a3e;--s3:#9c36b5;--s4:#0b7285;--s5:#c2255c;--s6:#7a6a00;
--s7:#5f3dc4;--muted:#98a2b0}
@media (prefers-color-scheme:dark){:root{--bg:#12161c;--card:#1b2129;--ink:#e6eaf0;
--soft:#9aa6b5;--line:#2c343f;--grid:#29313b;--accent:#6ea8fe;--best:#173622;--best-ink:#8fe0a6;
--warn:#3a2d12;--warn-ink:#ffd58a;--shade:rgba(0,0,0,.75);--s0:#6ea8fe;--s1:#ff922b;--s2:#69db7c;--s3:#da77f2;
--s4:#3bc9db;--s5:#f783ac;--s6:#e0c341;--s7:#b197fc;--muted:#6d7886}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:1240px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:1.7rem;line-height:1.25;margin:0 0 4px;letter-spacing:-.01em}
h2{font-size:1.15rem;margin:0 0 4px}
h3{font-size:.95rem;margin:18px 0 6px}
p{margin:4px 0 12px}
.soft{color:var(--soft)}
.lead{color:var(--soft);margin:0 0 16px;max-width:75ch}
section{background:var(--card);border:1px solid var(--line);border-radius:12px;
padding:18px 20px;margin:16px 0;min-width:0}
section>p{max-width:90ch;color:var(--soft)}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:10px;
margin:16px 0}
.fact{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:10px 14px;
min-width:0}
.fact b{display:block;font-size:1.25rem;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.fact span{color:var(--soft);font-size:.82rem}
.wrap{overflow-x:auto;margin:8px -4px 0;-webkit-overflow-scrolling:touch;
background:linear-gradient(to right,transparent,var(--card) 60%) right/48px 100% no-repeat local,
linear-gradient(to right,transparent,var(--shade)) right/18px 100% no-repeat scroll}
.far{display:none;color:var(--soft);font-size:.78rem;margin:6px 0 -4px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.88rem}
th,td{padding:6px 9px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th{font-weight:600;color:var(--soft);font-size:.8rem}
th:first-child,td:first-child{text-align:left;position:sticky;left:0;background:var(--card);
z-index:1}
td.name{font-weight:600}
tr.base td.name{font-weight:400;color:var(--soft)}
tr:last-child td{border-bottom:0}
td.best{background:var(--best);color:var(--best-ink);font-weight:650}
td.second span{text-decoration:underline;text-underline-offset:3px}
td.up{color:var(--best-ink);font-weight:650}
td.down{color:var(--s1);font-weight:650}
td small,th small{color:var(--soft);font-weight:400}
td small{display:block;font-size:.74rem;line-height:1.1}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,340px),1fr));
gap:14px 22px;margin-top:10px}
.wide{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,520px),1fr));
gap:14px 22px;margin-top:10px}
figure{margin:0;min-width:0}
figcaption{font-size:.85rem;font-weight:600;margin:0 0 2px}
figcaption small{font-weight:400;color:var(--soft)}
svg{display:block;width:100%;height:auto;font:11px system-ui,-apple-system,"Segoe UI",Roboto,
Arial,sans-serif}
svg text{fill:var(--ink)}svg .t{fill:var(--soft)}svg .g{stroke:var(--grid);stroke-width:1}
svg .axis{stroke:var(--line);stroke-width:1}
.legend{display:flex;flex-wrap:wrap;gap:4px 14px;font-size:.84rem;margin:6px 0;color:var(--soft)}
.legend i{display:inline-block;width:11px;height:11px;border-radius:3px;margin-right:6px;
vertical-align:-1px}
.pair{border-top:1px solid var(--line);padding:12px 0}
.pair:first-of-type{border-top:0}
.pair h3{margin:0 0 6px}
.panels{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(46%,210px),1fr));gap:8px}
.panels img{width:100%;display:block;border-radius:6px;background:#000}
.panels figcaption{font-weight:400;color:var(--soft);font-size:.8rem}
.note{background:var(--warn);color:var(--warn-ink);border-radius:8px;padding:9px 13px;
margin:10px 0}
.note ul{margin:4px 0;padding-left:20px}
code{font:.86em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
details{margin:8px 0}summary{cursor:pointer;color:var(--accent)}
footer{color:var(--soft);font-size:.82rem;margin-top:26px}
@media (max-width:600px){main{padding:18px 12px 40px}section{padding:14px 13px}
h1{font-size:1.35rem}.facts{grid-template-columns:repeat(2,1fr)}
.panels{grid-template-columns:repeat(2,1fr)}
.panels figure:last-child:nth-child(odd){grid-column:1/-1}
.far{display:block}}
@media print{body{background:#fff}section{break-inside:avoid}}
"""


def page(
    title: str, lead: str, facts: Mapping[str, str], sections: Sequence[str], command: str = ''
) -> str:
    """
    Put a report together.

    Args:
        title: heading, plain text.
        lead: one or two sentences below it, plain text.
        facts: label to value of the tiles at the top, plain text.
        sections: HTML made by `section`.
        command: the command line that made it.

    Returns:
        A complete HTML document.

    """
    tiles = ''.join(
        f'<div class="fact"><b>{escape(value)}</b><span>{escape(label)}</span></div>'
        for label, value in facts.items()
    )
    made = f' with <code>{escape(command)}</code>' if command else ''
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f'<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>'
        f'<header><h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p></header>'
        f'<div class="facts">{tiles}</div>{"".join(sections)}'
        f'<footer>Made by mafs-eval {escape(__version__)}{made}.</footer>'
        '</main></body></html>\n'
    )


def section(title: str, body: str, text: str = '') -> str:
    """Return a card with heading, an explaining sentence (plain text) and HTML."""
    intro = f'<p>{escape(text)}</p>' if text else ''
    return f'<section><h2>{escape(title)}</h2>{intro}{body}</section>'


def figure(svg: str, title: str, detail: str = '') -> str:
    """Return a chart with its caption."""
    small = f' <small>{escape(detail)}</small>' if detail else ''
    return f'<figure><figcaption>{escape(title)}{small}</figcaption>{svg}</figure>'


def note(lines: Sequence[str], title: str = '') -> str:
    """Return a highlighted list of sentences (plain text); empty without lines."""
    if not lines:
        return ''
    items = ''.join(f'<li>{escape(line)}</li>' for line in lines)
    head = f'<b>{escape(title)}</b>' if title else ''
    return f'<div class="note">{head}<ul>{items}</ul></div>'


def problems_note(problems: Sequence[str], most: int = 30) -> str:
    """Return the note that lists what could not be used."""
    lines = list(problems[:most])
    if len(problems) > most:
        lines.append(f'and {len(problems) - most} more')
    return note(lines, 'Not everything could be used:')


def cell(text: str, mark: str = '') -> str:
    """Return a table cell; mark is '', 'best', 'second', 'up', 'down' or 'name'."""
    if mark == 'second':
        # The underline is for the value, not for the small print below it.
        value, separator, rest = text.partition('<small>')
        text = f'<span>{value}</span>{separator}{rest}'
    kind = f' class="{mark}"' if mark else ''
    return f'<td{kind}>{text}</td>'


def table(header: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    """
    Return a table that scrolls sideways on its own where it is too wide, and says so on a phone.

    Args:
        header: HTML of the column headings.
        rows: CSS class of the row ('' or 'base') and its cells made by `cell`.

    """
    head = ''.join(f'<th>{text}</th>' for text in header)
    body = ''.join(
        f'<tr{f" class={kind!r}" if kind else ""}>{"".join(cells)}</tr>' for kind, cells in rows
    )
    hint = (
        '<p class="far">more columns: scroll to the right →</p>' if len(header) > _NARROW else ''
    )
    return (
        f'{hint}<div class="wrap"><table><thead><tr>{head}</tr></thead>'
        f'<tbody>{body}</tbody></table></div>'
    )


def legend(names: Sequence[str], colors: Sequence[str]) -> str:
    """Return a row of coloured names."""
    items = ''.join(
        f'<span><i style="background:{color}"></i>{escape(name)}</span>'
        for name, color in zip(names, colors, strict=True)
    )
    return f'<div class="legend">{items}</div>'
