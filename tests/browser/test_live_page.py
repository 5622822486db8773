"""The live page in a real Chromium, on a real API, Kafka and Redis."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import redis
from playwright.sync_api import Browser, Page, expect, sync_playwright

from churn import scores
from churn.settings import Settings
from churn.topics import ACTIVITY, SCORES
from compose.kafka import KafkaServer
from compose.local import free_ports
from compose.redis_server import RedisServer
from compose.topic_admin import ensure_topics
from tests.api.building import DECLARATION, challenger, champion, lineup, settings, vectors, write_user
from tests.api.serving import served
from tests.api.streaming import line_up, promote, publish, score

HOSTILE = "<img src=x onerror=\"document.title='owned'\">"
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WAIT_MS = 15_000


@dataclass(frozen=True)
class Watched:
    """A page, and everything that the browser complained about."""

    page: Page
    complaints: list[str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, kafka: KafkaServer, redis_server: RedisServer) -> Settings:
    made = settings(
        kafka_bootstrap_servers=kafka.bootstrap_servers, redis_url=redis_server.url, topic_prefix="browser",
        feast_project="browser", data_dir=tmp_path_factory.mktemp("browser"), api_port=free_ports(1)[0], partitions=2,
    )  # fmt: skip
    ensure_topics(made)
    return made


@pytest.fixture(scope="module")
def site(made: Settings, kafka: KafkaServer) -> Iterator[str]:
    promote(kafka, made.topic_prefix, champion(made.models_dir, "4"))
    line_up(kafka, made.topic_prefix, lineup(challenger(made.models_dir, "5", 0.25), challenger(made.models_dir, "6")))
    with redis.Redis.from_url(made.redis_url.get_secret_value()) as client:
        for user_id in ("anna", HOSTILE):
            write_user(client, made.feast_project, user_id, vectors(1)[0])
    _score_users(kafka, made)
    with served(made, made.data_dir):
        yield f"http://127.0.0.1:{made.api_port}/"


def _score_users(kafka: KafkaServer, made: Settings) -> None:
    fresh = datetime.now(UTC) - timedelta(milliseconds=300)
    people = [score("anna", 0.93, "high"), score(HOSTILE, 0.71, "high", f"likes {HOSTILE}")]
    people += [score(f"user-{n}", 0.2 + n / 100, "medium", f"active on {n} of the last 30 days") for n in range(20)]
    people += [score(f"calm-{n}", 0.05, "low") for n in range(60)]
    people += [score("long-gone", 0.99, "high", active=False)]
    stamped = [msgspec.structs.replace(each, arrived_at=fresh) for each in people]
    publish(kafka, SCORES.name(made.topic_prefix), *[(each.user_id, scores.encode(each)) for each in stamped])


@pytest.fixture(scope="module")
def browser(chromium: Path) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=OPTIONS)
        yield started
        started.close()


@pytest.fixture
def watched(browser: Browser, site: str) -> Iterator[Watched]:
    page, complaints = browser.new_page(viewport={"width": 1200, "height": 1000}), list[str]()
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url}"))
    page.on(
        "request", lambda request: None if request.url.startswith((site, "data:")) else complaints.append(request.url)
    )
    page.goto(site)
    expect(page.locator("#state-text")).to_have_text("ready", timeout=WAIT_MS)
    yield Watched(page, complaints)
    page.close()


def look_up(page: Page, user_id: str) -> None:
    page.get_by_label("User id").fill(user_id)
    page.get_by_role("button", name="Look up", exact=True).click()


def test_the_page_shows_the_numbers_without_a_complaint(watched: Watched, kafka: KafkaServer, made: Settings) -> None:
    page = watched.page
    expect(page.locator("#users")).to_have_text("82", timeout=WAIT_MS)
    expect(page.locator("#count-high")).to_have_text("2")
    expect(page.locator("#count-low")).to_have_text("60")
    expect(page.locator("#model")).to_contain_text("version 4")
    expect(page.locator("#model")).to_contain_text("challenged by version 5 for 25% of the users, version 6 in shadow")
    expect(page.locator("#riskiest tbody tr")).to_have_count(20)
    expect(page.locator("#riskiest tbody tr").first).to_have_text("anna93%↑ no activity for 12 days")
    publish(kafka, ACTIVITY.name(made.topic_prefix), *[(f"u{n}", b"{}") for n in range(300)])
    expect(page.locator("#events")).not_to_have_text("0", timeout=WAIT_MS)
    assert watched.complaints == []


def test_freshness_is_shown_in_milliseconds(watched: Watched, kafka: KafkaServer, made: Settings) -> None:
    _score_users(kafka, made)
    expect(watched.page.locator("#p99")).to_contain_text("ms", timeout=WAIT_MS)


def assert_adds_up(account: str) -> None:
    """Check that what the page says of the log-odds sums, within rounding, to the probability that it says."""
    base, above, others, together, percent = map(float, re.findall(r"[+-]?\d+\.?\d*(?=[,;%])", account))
    assert base + above + others == pytest.approx(together, abs=0.021)
    assert 100 / (1 + math.exp(-together)) == pytest.approx(percent, abs=0.3)


def test_a_user_of_the_table_is_looked_up_by_a_click(watched: Watched, tmp_path: Path) -> None:
    page = watched.page
    page.get_by_role("button", name="anna").click()
    answer = page.locator("#answer")
    expect(answer.locator("h3")).to_have_text("anna", timeout=WAIT_MS)
    expect(answer.locator(".tag")).to_have_text("high risk")
    expect(answer.locator(".reasons li")).to_have_count(6)
    expect(answer.locator("summary")).to_have_text(f"All {len(DECLARATION.features)} features")
    expect(answer.locator(".reasons li").first).to_have_text(re.compile(r"(raises|lowers) the risk, [+-]\d+\.\d\d$"))
    assert_adds_up(answer.locator(".account").inner_text())
    page.screenshot(path=tmp_path / "live.png", full_page=True)
    assert watched.complaints == []


def test_the_keyboard_alone_looks_a_user_up(watched: Watched) -> None:
    page = watched.page
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # the link that skips to the look-up
    page.keyboard.type("anna")
    page.keyboard.press("Enter")
    expect(page.locator("#answer h3")).to_have_text("anna", timeout=WAIT_MS)


def test_an_unknown_user_is_answered_with_a_sentence(watched: Watched) -> None:
    look_up(watched.page, "ghost")
    expect(watched.page.locator("#answer .problem")).to_contain_text("user 'ghost' is unknown", timeout=WAIT_MS)


def test_a_hostile_user_id_stays_text(watched: Watched) -> None:
    page = watched.page
    look_up(page, HOSTILE)
    expect(page.locator("#answer h3")).to_have_text(HOSTILE, timeout=WAIT_MS)
    expect(page.locator("#riskiest tbody")).to_contain_text(f"likes {HOSTILE}", timeout=WAIT_MS)
    assert page.locator("main img").count() == 0
    assert page.title() == "Churn, live"
    look_up(page, "ghost" + HOSTILE)
    expect(page.locator("#answer .problem")).to_contain_text("onerror", timeout=WAIT_MS)
    assert page.locator("main img").count() == 0


def test_a_narrow_dark_screen_has_no_sideways_scroll(watched: Watched, tmp_path: Path) -> None:
    page = watched.page
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 800})
    expect(page.locator("#users")).to_have_text("82", timeout=WAIT_MS)
    look_up(page, "anna")
    expect(page.locator("#answer h3")).to_have_text("anna", timeout=WAIT_MS)
    page.screenshot(path=tmp_path / "dark.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
