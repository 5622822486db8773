"""The card of a registered version: its data from the registry, who approved from the audit log, its pages among the artifacts."""

from churn.errors import InputError
from training.audit_log import History
from training.card import CARD_FILE, read_card
from training.card_html import html
from training.card_markdown import markdown
from training.registry import Registry

HTML_FILE, MARKDOWN_FILE = "card.html", "card.md"


def pages(registry: Registry, history: History, version: str) -> dict[str, str]:
    """Return the card's pages, file name to content, with every step so far.

    Raises:
        InputError: there is no such version, or it has no card.
    """
    text = registry.text(version, CARD_FILE)
    if text is None:
        raise InputError(f"version {version} was registered without a model card; versions of `churn train` have one")
    card, entries = read_card(text), history.of(registry.name, version)
    return {HTML_FILE: html(card, version, entries), MARKDOWN_FILE: markdown(card, version, entries)}


def publish(registry: Registry, history: History, version: str) -> None:
    """Put the pages beside the version's other artifacts, anew after each step; does nothing without a card."""
    if registry.text(version, CARD_FILE) is not None:
        registry.attach(version, pages(registry, history, version))
