"""A model card as one HTML file that needs nothing else, for light and dark screens and for paper."""

from collections.abc import Sequence
from html import escape

from training.audit_log import Entry
from training.card import Card
from training.card_page import Block, Bullets, Plot, Section, Table, sections, summary_of, title_of

STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --paper: #ffffff; --rule: #dde3ea; --mark: #e7f4ee;
  --line: #1b7f5c; --pale: #9aa5b1; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9ef; --soft: #9aa7b5; --paper: #14181d; --rule: #2d353e;
  --mark: #17332a; --line: #4cc79a; --pale: #6b7785; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 62rem; background: var(--paper); color: var(--ink);
  font: 15px/1.55 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; } h2 { font-size: 1.1rem; margin: 2.2rem 0 .5rem; }
p { margin: .4rem 0 .8rem; } .summary { color: var(--soft); max-width: 46rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .875rem; }
th, td { text-align: left; padding: .35rem .7rem .35rem 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
th { color: var(--soft); font-weight: 600; } .numbers td + td, .numbers th + th { text-align: right; padding-right: 0;
  padding-left: .9rem; font-variant-numeric: tabular-nums; white-space: nowrap; } .numbers th + th { white-space: normal; }
table:not(.numbers) td:first-child { white-space: nowrap; }
tr.marked td { background: var(--mark); font-weight: 600; }
ul { padding-left: 1.1rem; margin: .4rem 0; } li { margin: .2rem 0; overflow-wrap: anywhere; }
.plots { display: flex; flex-wrap: wrap; gap: 2rem; } figure { margin: 0; flex: 1 1 20rem; max-width: 29rem; }
figcaption { color: var(--soft); font-size: .825rem; }
.plot { width: 100%; height: auto; } .plot text { fill: var(--soft); font-size: 11px; }
.plot polyline { fill: none; stroke-width: 2; } .plot .grid { stroke: var(--rule); }
.plot .ideal { stroke: var(--pale); stroke-dasharray: 6 4; stroke-width: 1.5; }
.plot .best { stroke: var(--pale); stroke-dasharray: 1.5 3; stroke-width: 1.5; }
.plot .curve { stroke: var(--line); } .plot .dot { fill: var(--line); } .plot .whisker { stroke: var(--line); opacity: .55; }
@media print { body { max-width: none; padding: 0; } h2 { break-after: avoid; } figure, tr { break-inside: avoid; } }
""".strip()


def html(card: Card, version: str, entries: Sequence[Entry]) -> str:
    """Return the page; everything that comes from data is escaped."""
    title = escape(title_of(card, version))
    body = "\n".join(_section(section) for section in sections(card, entries))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>\n{STYLE}\n</style>\n</head>\n'
        f'<body>\n<h1>{title}</h1>\n<p class="summary">{escape(summary_of(card))}</p>\n{body}\n</body>\n</html>\n'
    )


def _section(section: Section) -> str:
    plots = [block for block in section.blocks if isinstance(block, Plot)]
    others = [_block(block) for block in section.blocks if not isinstance(block, Plot)]
    drawn = f'<div class="plots">{"".join(map(_plot, plots))}</div>' if plots else ""
    return f"<section>\n<h2>{escape(section.title)}</h2>\n{''.join(others)}{drawn}\n</section>"


def _block(block: Block) -> str:
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Bullets):
        return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in block.lines)}</ul>\n"
    return f"<p>{escape(str(block))}</p>\n"


def _plot(plot: Plot) -> str:
    return f"<figure>{plot.svg}<figcaption>{escape(plot.caption)}</figcaption></figure>"


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in table.head)
    rows = [_row(cells, number == table.marked) for number, cells in enumerate(table.rows)]
    kind = ' class="numbers"' if table.numbers else ""
    return (
        f'<div class="scroll"><table{kind}><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>\n'
    )


def _row(cells: Sequence[str], marked: bool) -> str:
    kind = ' class="marked"' if marked else ""
    return f"<tr{kind}>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
