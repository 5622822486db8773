"""The pages of a card: everything on them, nothing broken by what data says, and who approved."""

import re
from html.parser import HTMLParser

import msgspec

from tests.training.cards import NASTY, card, entry
from training.card_html import html
from training.card_markdown import markdown
from training.card_page import sections

CARD = card()
STEPS = (entry("registered", "training", "trained"), entry("approved", "Ann Lee", f"read it {NASTY}", 2))
TITLES = [
    "Who let it serve", "How good it is", "Calibration and lift", "Segments", "The gate", "Features by importance",
    "What was tried", "Checks", "Data", "Limits",
]  # fmt: skip


class Outline(HTMLParser):
    """Collects what a browser would see: tags, their attributes, and text; every tag must be closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.attributes: list[tuple[str, str | None]] = []
        self._open: list[str] = []
        self.feed(page)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag != "meta":
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_every_section_stands_on_both_pages() -> None:
    assert [section.title for section in sections(CARD, STEPS)] == TITLES
    assert re.findall(r"^## (.*)$", markdown(CARD, "7", STEPS), re.MULTILINE) == TITLES
    assert re.findall(r"<h2>(.*?)</h2>", html(CARD, "7", STEPS)) == TITLES


def test_a_page_says_why_the_mean_of_two_models_is_registered() -> None:
    page = markdown(msgspec.structs.replace(CARD, facts=CARD.facts | {"candidate": "averaged"}), "7", STEPS)
    assert "the mean of the two, in the log-odds, passed and is registered" in page
    assert "the mean of the two" not in markdown(CARD, "7", STEPS)


def test_html_shows_what_data_says_and_runs_nothing_of_it() -> None:
    seen = Outline(html(CARD, "7", STEPS))
    assert NASTY in seen.text
    assert "script" not in seen.tags
    assert seen.tags.count("svg") == 2


def test_html_needs_nothing_from_elsewhere() -> None:
    page = html(CARD, "7", STEPS)
    assert {name for name, _ in Outline(page).attributes}.isdisjoint({"src", "href", "onload"})
    assert "http" not in page
    assert "url(" not in page
    assert "prefers-color-scheme: dark" in page


def test_markdown_tables_keep_their_columns_whatever_stands_in_a_cell() -> None:
    lines = markdown(CARD, "7", STEPS).splitlines()
    widths = [[len(re.findall(r"(?<!\\)\|", line)) for line in table] for table in _tables(lines)]
    assert all(len(set(found)) == 1 for found in widths)
    assert "<script>" not in "\n".join(lines).replace(r"\<script\>", "")


def _tables(lines: list[str]) -> list[list[str]]:
    tables: list[list[str]] = [[]]
    for line in lines:
        if line.startswith("|"):
            tables[-1].append(line)
        elif tables[-1]:
            tables.append([])
    return [table for table in tables if table]


def test_a_card_says_who_approved_when_and_why() -> None:
    assert f"Approved by Ann Lee on 2026-03-02 09:30 UTC: read it {NASTY}" in Outline(html(CARD, "7", STEPS)).text
    rejected = (*STEPS, entry("rejected", "Bob", "no", 3))
    assert "Rejected by Bob on 2026-03-02 09:30 UTC: no" in markdown(CARD, "7", rejected)
    assert "Promoted by the gate on 2026-03-02" in markdown(CARD, "7", (entry("promoted", "the gate", "passed"),))
    assert "No step with this version is written down." in markdown(CARD, "7", ())


def test_a_card_says_what_the_model_is_not_for() -> None:
    text = markdown(CARD, "7", STEPS)
    assert "Churn means: no visit in the 30 days after" in text
    assert "It is not for denying anyone a service" in text
    assert "| data fingerprint | abc123 |" in text


def test_sentences_of_features_stand_without_their_placeholders() -> None:
    assert "| silence | 0." in markdown(CARD, "7", STEPS)
    assert "no visit for … days" in markdown(CARD, "7", STEPS)


def test_candidates_and_the_check_of_silence_are_told() -> None:
    text = markdown(CARD, "7", STEPS)
    assert "| **boosted** | **0.3000** |" in text
    assert "| logistic |  |" in text
    assert (
        "more days of silence lowered the risk in 3 of 100 steps, all else equal, by at most 0.020 in log-odds" in text
    )
