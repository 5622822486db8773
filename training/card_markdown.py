"""A model card as Markdown."""

import re
from collections.abc import Iterator, Sequence

from training.audit_log import Entry
from training.card import Card
from training.card_page import Block, Bullets, Plot, Table, sections, summary_of, title_of

# What would begin a link, a tag, code, emphasis or a cell; an underscore within a word does nothing.
SPECIAL = re.compile(r"([\\`*\[\]<>|#&])")


def markdown(card: Card, version: str, entries: Sequence[Entry]) -> str:
    """Return the page; what comes from data is escaped, and plots are tables."""
    lines = [f"# {plain(title_of(card, version))}", "", plain(summary_of(card)), ""]
    for section in sections(card, entries):
        lines += [f"## {plain(section.title)}", ""]
        for block in section.blocks:
            lines += [*_lines(block), ""]
    return "\n".join(lines).rstrip() + "\n"


def plain(text: str) -> str:
    """Return text that Markdown shows as it is, on one line.

    >>> plain("a|b\\n<i>")
    'a\\\\|b \\\\<i\\\\>'
    """
    return SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _lines(block: Block) -> Iterator[str]:
    if isinstance(block, Table):
        yield from _table(block)
    elif isinstance(block, Bullets):
        yield from (f"- {plain(line)}" for line in block.lines)
    elif isinstance(block, Plot):
        yield plain(block.caption)
        yield ""
        yield from _table(block.instead)
    else:
        yield plain(block)


def _table(table: Table) -> Iterator[str]:
    rest = "---:" if table.numbers else "---"
    yield _row(table.head)
    yield _row(["---", *[rest] * (len(table.head) - 1)], raw=True)
    for number, cells in enumerate(table.rows):
        shown = [plain(cell) for cell in cells]
        yield _row([f"**{cell}**" if cell else "" for cell in shown] if number == table.marked else shown, raw=True)


def _row(cells: Sequence[str], raw: bool = False) -> str:
    return f"| {' | '.join(cells if raw else map(plain, cells))} |"
