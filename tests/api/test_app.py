import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import redis

from api.prediction import MAX_BODY_BYTES
from churn.model import Scorer
from compose.local import free_ports
from compose.redis_server import RedisServer
from tests.api.building import DECLARATION, challenger, champion, feature_map, lineup, model, vectors, write_user
from tests.api.conftest import Api

VECTORS = vectors(3)


def test_a_known_user_is_answered_with_everything(api: Api, redis_client: "redis.Redis") -> None:
    write_user(redis_client, api.project, "u1", VECTORS[0])
    body = api.http.get("/users/u1").json()
    assert body["user_id"] == "u1"
    assert body["active"] is True
    assert body["features"] == feature_map(VECTORS[0])
    assert body["score"] == {
        "probability": float(np.float32(0.7)), "band": "high", "model_version": "1", "as_of": "2026-01-05T00:00:00Z",
    }  # fmt: skip
    assert body["freshness"]["features_age_seconds"] == 90.0
    assert len(body["reasons"]) == 3


def test_the_explanation_equals_the_library_to_the_last_bit(api: Api, redis_client: "redis.Redis") -> None:
    write_user(redis_client, api.project, "u1", VECTORS[1])
    body = api.http.get("/users/u1", params={"reasons": "all"}).json()
    scored = Scorer(model(), "1").score(VECTORS[1].reshape(1, -1))
    assert body["explanation"]["probability"] == float(scored.probability[0])
    got = {reason["feature"]: reason["contribution"] for reason in body["reasons"]}
    assert got == dict(zip(DECLARATION.feature_names, scored.contributions[0].tolist(), strict=True))


def test_predict_equals_the_library_to_the_last_bit(api: Api) -> None:
    request = {"instances": [feature_map(vector) for vector in VECTORS]}
    predictions = api.http.post("/predict", json=request).json()["predictions"]
    expected = Scorer(model(), "1").score(VECTORS).probability.tolist()
    assert [p["probability"] for p in predictions] == expected


def test_one_feature_map_is_answered_with_one_prediction(api: Api) -> None:
    body = api.http.post("/predict", json={"features": feature_map(VECTORS[0])}).json()
    assert (body["model"], body["model_version"], len(body["reasons"])) == ("churn", "1", 3)


def test_what_the_look_up_returns_can_be_sent_to_predict(api: Api, redis_client: "redis.Redis") -> None:
    write_user(redis_client, api.project, "u1", VECTORS[0])
    user = api.http.get("/users/u1").json()
    again = api.http.post("/predict", json={"features": user["features"]}).json()
    assert again["probability"] == user["explanation"]["probability"]


def test_ten_thousand_feature_maps_are_answered_in_order(api: Api) -> None:
    matrix = vectors(10_000)
    predictions = api.http.post("/predict", json={"instances": [feature_map(v) for v in matrix]}).json()["predictions"]
    assert [p["probability"] for p in predictions] == Scorer(model(), "1").score(matrix).probability.tolist()


@pytest.mark.parametrize("user_id", ["a/b", "ü ñ", "<img src=x onerror=alert(1)>", "a?b#c", "x" * 128])
def test_any_user_id_can_be_looked_up(api: Api, redis_client: "redis.Redis", user_id: str) -> None:
    write_user(redis_client, api.project, user_id, VECTORS[0])
    assert api.http.get(f"/users/{quote(user_id, safe='')}").json()["user_id"] == user_id


def test_an_unknown_user_is_not_found(api: Api) -> None:
    answer = api.http.get("/users/ghost")
    assert (answer.status_code, answer.json()["error"]) == (404, "unknown_user")
    assert "user 'ghost' is unknown" in answer.json()["message"]


def refused(api: Api, body: Any) -> Any:
    answer = api.http.post("/predict", content=body if isinstance(body, bytes) else json.dumps(body))
    assert answer.status_code == 422
    assert answer.json()["error"] == "prediction_input"
    return answer.json()


def test_predict_on_an_empty_object_names_every_feature(api: Api) -> None:
    message = refused(api, {})["message"]
    assert all(name in message for name in DECLARATION.feature_names)


def test_predict_names_everything_that_is_wrong(api: Api) -> None:
    features = feature_map(VECTORS[0])
    del features["sessions_7d"], features["plan_pro"]
    wrong: dict[str, Any] = features | {"sessions_14d": "two", "visits": 3}
    named = [problem["feature"] for problem in refused(api, {"features": wrong})["problems"]]
    assert named == ["sessions_7d", "sessions_14d", "plan_pro", "visits"]


def test_an_infinite_feature_is_named(api: Api) -> None:
    body = json.dumps({"features": feature_map(VECTORS[0]) | {"sessions_7d": float("inf")}}).encode()
    assert [problem["feature"] for problem in refused(api, body)["problems"]] == ["sessions_7d"]


def test_a_body_beyond_the_limit_is_refused_as_too_large(api: Api) -> None:
    answer = api.http.post("/predict", content=b" " * (MAX_BODY_BYTES + 1))
    assert (answer.status_code, answer.json()["error"]) == (413, "too_large")


def test_another_depth_of_reasons_is_refused(api: Api) -> None:
    assert api.http.get("/users/u1", params={"reasons": "some"}).status_code == 422


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("GET", "/predict", 405)])
def test_a_wrong_address_is_told_in_the_same_form(api: Api, method: str, path: str, status: int) -> None:
    answer = api.http.request(method, path)
    assert answer.status_code == status
    assert set(answer.json()) == {"error", "message"}


def test_without_a_champion_users_are_answered_and_predictions_wait(
    open_api: Callable[[str], Api], redis_server: RedisServer, redis_client: "redis.Redis"
) -> None:
    api = open_api(redis_server.url)
    write_user(redis_client, api.project, "u1", VECTORS[0])
    with api.http:
        answer = api.http.post("/predict", json={"features": feature_map(VECTORS[0])})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert api.http.get("/users/u1").json()["explanation"] is None
        assert api.http.get("/ready").status_code == 503


def test_a_new_champion_answers_the_next_request(api: Api) -> None:
    api.champion.follow([champion(api.models_dir, "2", model(intercept=-5.0))])
    body = api.http.post("/predict", json={"features": feature_map(VECTORS[0])}).json()
    assert body["model_version"] == "2"
    assert body["probability"] == float(Scorer(model(intercept=-5.0), "2").score(VECTORS[:1]).probability[0])


def test_while_redis_is_away_requests_are_told_so_and_afterwards_answered(
    open_api: Callable[[str], Api], tmp_path: Path
) -> None:
    server = RedisServer(tmp_path / "redis", free_ports(1)[0], persistent=True)
    server.start()
    api = open_api(server.url)
    api.champion.follow([champion(api.models_dir, "1")])
    with redis.Redis.from_url(server.url) as client:
        write_user(client, api.project, "u1", VECTORS[0])
    with api.http:
        assert api.http.get("/users/u1").status_code == 200
        server.stop()
        answer = api.http.get("/users/u1")
        assert (answer.status_code, answer.headers["retry-after"], answer.json()["error"]) == (503, "1", "outage")
        assert api.http.get("/ready").status_code == 503
        assert api.http.get("/health").json()["status"] == "down"
        assert api.http.get("/live").status_code == 200
        server.start()
        assert api.http.get("/users/u1").status_code == 200
        assert api.http.get("/ready").status_code == 200
    server.stop()


def test_metrics_tell_requests_by_route_and_the_champion(api: Api) -> None:
    api.http.get("/users/ghost")
    api.http.get("/users/other")
    text = api.http.get("/metrics").text
    assert 'churn_http_requests_total{route="/users/{user_id}",status="404"} 2.0' in text
    assert 'churn_http_request_seconds_bucket{le="0.0005",route="/users/{user_id}"}' in text
    assert 'churn_champion_info{version="1"} 1.0' in text
    assert "ghost" not in text


def test_metrics_tell_of_a_refused_champion(api: Api, tmp_path: Path) -> None:
    api.champion.refuse("2", "golden rows differ")
    text = api.http.get("/metrics").text
    assert "churn_refused_models_total 1.0" in text
    assert 'churn_champion_info{version="1"} 1.0' in text


def test_metrics_are_told_where_feast_was_imported(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "set by Feast")
    api.champion.follow([champion(api.models_dir, "2")])
    text = api.http.get("/metrics").text
    assert re.findall(r"churn_champion_info{.*", text) == ['churn_champion_info{version="2"} 1.0']
    assert "churn_champion_promoted_seconds 1.7675712e+09" in text


def test_metrics_tell_whether_it_can_answer_and_how_many_were_scored(api: Api) -> None:
    api.http.post("/predict", json={"instances": [feature_map(vector) for vector in VECTORS]})
    lines = api.http.get("/metrics").text.splitlines()
    told = {"churn_ready 1.0", "churn_redis_up 1.0", "churn_kafka_up 1.0", "churn_predictions_total 3.0"}
    assert told <= set(lines)


def test_live_data_is_what_the_page_shows(api: Api) -> None:
    body = api.http.get("/live-data").json()
    assert body["model"]["version"] == "1"
    assert (body["health"]["status"], body["pulse"]["users"]) == ("ok", 0)
    assert body["model"]["challengers"] == []


def test_challengers_are_shown_and_a_feature_map_of_nobody_is_the_champions(api: Api) -> None:
    api.champion.follow([lineup(challenger(api.models_dir, "2", 1.0, model(intercept=3.0)))])
    shown = api.http.get("/live-data").json()["model"]
    assert (shown["version"], shown["challengers"]) == ("1", [{"version": "2", "share": 1.0}])
    told = api.http.post("/predict", json={"features": feature_map(VECTORS[0])}).json()
    assert told["model_version"] == "1"
    assert told["probability"] == float(Scorer(model(), "1").score(VECTORS[:1]).probability[0])
