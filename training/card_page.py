"""A model card as sections of paragraphs, tables and plots, once for every format; who approved comes from the audit log."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from training.audit_log import Entry
from training.averaged import NAME
from training.card import Card
from training.card_plots import calibration_plot, lift_plot
from training.segments import SegmentMeasures

NAMES = {
    "auc": "AUC (higher is better)",
    "average_precision": "average precision (higher)",
    "log_loss": "log loss (lower)",
    "brier": "Brier score (lower)",
    "ece": "expected calibration error (lower)",
}
MOST_FEATURES = 30
PLACEHOLDER = re.compile(r"\{\w+\}")


@dataclass(frozen=True)
class Table:
    """Cells as text; `marked` names a row to stand out, `numbers` whether all columns but the first are figures."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    marked: int = -1
    numbers: bool = True


@dataclass(frozen=True)
class Plot:
    """An SVG and the sentence below it; formats without pictures show the table instead."""

    svg: str
    caption: str
    instead: Table


@dataclass(frozen=True)
class Bullets:
    """Sentences of a list."""

    lines: tuple[str, ...]


Block = str | Table | Plot | Bullets


@dataclass(frozen=True)
class Section:
    """A title and what stands below it."""

    title: str
    blocks: tuple[Block, ...]


def title_of(card: Card, version: str) -> str:
    """Return the headline."""
    return f"Model {card.model}, version {version}" if version else f"Model {card.model}"


def summary_of(card: Card) -> str:
    """Return what the model does, in two sentences."""
    auc, loss = card.measures["auc"], card.measures["log_loss"]
    return (
        f"Says for each active user of {card.business} how probable it is that the next {card.horizon_days} days pass without"
        f" any activity. On {card.holdout_rows:,} later rows it ranks with an AUC of {auc.value:.3f} and has a log loss of"
        f" {loss.value:.4f}."
    )


def sections(card: Card, entries: Sequence[Entry]) -> tuple[Section, ...]:
    """Return the card's sections in their order; `entries` are the audit log's about this version."""
    return (
        Section("Who let it serve", approval(entries)),
        Section("How good it is", _measures(card)),
        Section("Calibration and lift", _plots(card)),
        Section("Segments", _segments(card)),
        Section("The gate", _gate(card)),
        Section("Features by importance", _features(card)),
        *([Section("What was tried", _candidates(card))] if card.candidates else []),
        *([Section("Checks", (Bullets(tuple(card.checks)),))] if card.checks else []),
        Section("Data", _data(card)),
        Section("Limits", (Bullets(limits(card)),)),
    )


def approval(entries: Sequence[Entry]) -> tuple[Block, ...]:
    """Return who approved, and every step that was taken with this version."""
    if not entries:
        return ("No step with this version is written down.",)
    rows = tuple(
        (f"{e.at:%Y-%m-%d %H:%M} UTC", e.step.replace("_", " "), e.who or "unknown", e.reason) for e in entries
    )
    return (_approved(entries), Table(("when", "step", "who", "why"), rows, numbers=False))


def _approved(entries: Sequence[Entry]) -> str:
    decided = [entry for entry in entries if entry.step in ("approved", "rejected")] or [
        entry for entry in entries if entry.step == "promoted"
    ]
    if not decided:
        return "Nobody has approved this version, and it has not served."
    last = decided[-1]
    return f"{last.step.capitalize()} by {last.who or 'unknown'} on {last.at:%Y-%m-%d %H:%M} UTC: {last.reason}"


def _measures(card: Card) -> tuple[Block, ...]:
    head = ("on the hold-out", "this model", "95 % interval", *(rival.name for rival in card.rivals))
    rows = tuple(_measure(card, key, name) for key, name in NAMES.items())
    return (
        f"{card.holdout_rows:,} rows of {card.holdout_users:,} users after the training data, {card.holdout_positive_rate:.1%}"
        " churned. Intervals come from drawing users again 1,000 times.",
        Table(head, rows),
    )


def _measure(card: Card, key: str, name: str) -> tuple[str, ...]:
    own = card.measures[key]
    others = (f"{getattr(rival, key):.4f}" for rival in card.rivals)
    return (name, f"{own.value:.4f}", f"{own.low:.4f} to {own.high:.4f}", *others)


def _plots(card: Card) -> tuple[Block, ...]:
    said = tuple(
        (
            str(n),
            f"{p.rows:,}",
            f"{p.said:.1%}",
            f"{p.happened.value:.1%}",
            f"{p.happened.low:.1%} to {p.happened.high:.1%}",
        )
        for n, p in enumerate(card.calibration, 1)
    )
    found = tuple((f"{p.share:.0%}", f"{p.found:.1%}", f"{p.lift:.2f}") for p in card.lift)
    return (
        Plot(
            calibration_plot(card.calibration),
            "Calibration in tenths of the rows, with 95 % intervals; on the dashed line a probability is what it says.",
            Table(("tenth", "rows", "said", "happened", "95 % interval"), said),
        ),
        Plot(
            lift_plot(card.lift, card.holdout_positive_rate),
            "Churned users found by contacting the riskiest; dashed: a random pick, dotted: nobody could do better.",
            Table(("riskiest", "churned found", "lift"), found),
        ),
    )


def _segments(card: Card) -> tuple[Block, ...]:
    bad = card.worst_segment
    marked = card.segments.index(bad) if bad else -1
    rows = tuple(_segment(each) for each in card.segments)
    head = ("segment", "rows", "churned", "said", "AUC", "log loss", "of a constant's", "ECE")
    return (_worst(bad), Table(head, rows, marked))


def _worst(bad: SegmentMeasures | None) -> str:
    if bad is None or bad.against_constant is None:
        return "Every segment is too small to say in which one the model does worst."
    return (
        f"The worst segment is {bad.segment} {bad.value}: the log loss is {bad.against_constant:.0%} of that of a constant which"
        f" knows the segment's churn rate ({bad.log_loss:.4f} over {bad.rows:,} rows)."
    )


def _segment(each: SegmentMeasures) -> tuple[str, ...]:
    auc = "" if each.auc is None else f"{each.auc:.4f}"
    share = "" if each.against_constant is None else f"{each.against_constant:.0%}"
    name = f"{each.segment}: {each.value}"
    rates = (f"{each.rows:,}", f"{each.churn_rate:.1%}", f"{each.said:.1%}")
    return (name, *rates, auc, f"{each.log_loss:.4f}", share, f"{each.ece:.4f}")


def _gate(card: Card) -> tuple[Block, ...]:
    head = "The gate lets it serve." if card.promotes else "The gate keeps it from serving."
    return (head, Bullets(tuple(card.why)))


def _features(card: Card) -> tuple[Block, ...]:
    shown = card.features[:MOST_FEATURES]
    rows = tuple((f.name, f"{f.importance:.4f}", PLACEHOLDER.sub("…", f.says)) for f in shown)
    left = len(card.features) - len(shown)
    more = f" The {left} least important are left out." if left else ""
    told = f"Mean size of a feature's contribution to the log-odds over the hold-out, of {len(card.features)} features.{more}"
    return (told, Table(("feature", "importance", "says"), rows, numbers=False))


BEST = "The one that did best on time-ordered folds of the training data is registered; the hold-out had no say in it."
AVERAGED = (
    "The gate would have kept the champion beside the one that did best on the training data; the mean of the two, in the"
    " log-odds, passed and is registered."
)


def _candidates(card: Card) -> tuple[Block, ...]:
    rows = tuple(
        (
            each.name,
            "" if each.fold_loss is None else f"{each.fold_loss:.4f}",
            *(f"{value:.4f}" for value in (each.log_loss, each.auc, each.ece)),
            f"{each.seconds:.1f}",
        )
        for each in card.candidates
    )
    chosen = [number for number, each in enumerate(card.candidates) if each.chosen]
    head = ("candidate", "log loss on folds", "log loss", "AUC", "ECE", "seconds")
    settings = tuple(f"{each.name}: {each.settings}" for each in card.candidates if each.settings)
    told = AVERAGED if card.facts.get("candidate") == NAME else BEST
    return (told, Table(head, rows, chosen[0] if chosen else -1), *([Bullets(settings)] if settings else []))


def _data(card: Card) -> tuple[Block, ...]:
    rows = [
        ("business", card.business),
        ("archive", f"{card.archive_from} to {card.archive_until}: {card.events:,} events of {card.users:,} users"),
        (
            "training snapshots",
            f"{_span(card.train_as_ofs)}: {card.train_rows:,} rows, {card.train_positive_rate:.1%} churned",
        ),
        ("hold-out snapshots", f"{_span(card.test_as_ofs)}: {card.holdout_rows:,} rows"),
        ("trained at", card.trained_at),
        ("feature set", card.feature_set_version),
    ]
    told = [
        (name.replace("_", " "), f"{value:g}" if isinstance(value, float) else str(value))
        for name, value in card.facts.items()
    ]
    known = {name for name, _ in rows}
    return (Table(("fact", "value"), (*rows, *(row for row in told if row[0] not in known)), numbers=False),)


def _span(dates: Sequence[str]) -> str:
    return dates[0] if len(dates) == 1 else f"{len(dates)} midnights from {dates[0]} to {dates[-1]}"


def limits(card: Card) -> tuple[str, ...]:
    """Return what the model does not say and is not for."""
    days, activity = card.horizon_days, ", ".join(card.activity_events)
    excluded = " and ".join(f"{name} is {value}" for name, value in card.excluded.items())
    beyond = f", nor of those of whom {excluded}" if excluded else ""
    return (
        f"Churn means: no {activity} in the {days} days after the time of the score. Whoever comes back later has churned here.",
        f"It speaks of users who were active in the {days} days before, not of others{beyond}.",
        f"A label is known {days} days later for leavers and stayers alike; whoever's {days} days were not over when the"
        f" archive ended is in neither class. Later snapshots than {card.test_as_ofs[-1]} were neither learnt from nor judged by.",
        f"It knows what happened from {card.archive_from} to {card.archive_until}: no other season, price or product.",
        "Reasons say what the score rests on, not what makes a user leave; whether contacting one helps is not measured.",
        "It is meant for deciding whom to look after. It is not for denying anyone a service, a price or a right.",
    )
