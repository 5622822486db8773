"""OULAD becomes events: an enrolment is a user, a row of clicks is an event, a day is its own."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churn.declaration import parse
from churn.errors import DataError, InputError
from churn.events import Event, decode
from producers.importing import complaints
from producers.oulad import OuladLog, presentation_start, read, replay
from producers.pacing import Pace

KEY = "code_module,code_presentation,id_student"
TABLES = {
    "courses.csv": "code_module,code_presentation,module_presentation_length\nAAA,2013J,268\nBBB,2013B,240\n",
    "assessments.csv": "code_module,code_presentation,id_assessment,assessment_type,date,weight\n"
    "AAA,2013J,1,TMA,19,10\nAAA,2013J,2,Exam,?,100\n",
    "studentAssessment.csv": "id_assessment,id_student,date_submitted,is_banked,score\n"
    "1,7,18,0,78\n1,8,22,0,?\n2,7,268,0,61.5\n1,9,-1,1,50\n",
    "studentRegistration.csv": f"{KEY},date_registration,date_unregistration\n"
    "AAA,2013J,7,-159,\nAAA,2013J,8,-5,12\nBBB,2013B,7,?,\n",
    "studentVle.csv": f"{KEY},id_site,date,sum_click\n"
    "AAA,2013J,7,100,0,3\nAAA,2013J,7,100,0,3\nAAA,2013J,7,200,0,1\nBBB,2013B,7,300,-9,12\n",
    "vle.csv": "id_site,code_module,code_presentation,activity_type,week_from,week_to\n"
    "100,AAA,2013J,forumng,?,?\n200,AAA,2013J,quiz,?,?\n300,BBB,2013B,forumng,?,?\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the tables of three enrolments, as the original data set has them."""
    for name, text in TABLES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def events(log: OuladLog, since: datetime | None = None, until: datetime | None = None) -> list[Event]:
    return [decode(value) for chunk in log.chunks(since, until, rows=2) for value in chunk.values]


def of_type(found: list[Event], event_type: str) -> list[Event]:
    return [event for event in found if event.event_type == event_type]


def test_presentations_start_in_february_or_october() -> None:
    assert presentation_start("2013B") == datetime(2013, 2, 1, tzinfo=UTC)
    assert presentation_start("2014J") == datetime(2014, 10, 1, tzinfo=UTC)
    with pytest.raises(InputError, match="'2013X' is no year followed by B or J"):
        presentation_start("2013X")


def test_events_of_all_presentations_come_in_the_order_of_time(folder: Path) -> None:
    found = events(read(folder))
    assert [(e.user_id, e.event_type, e.occurred_at.date().isoformat()) for e in found] == [
        ("BBB-2013B-7", "clicked_forumng", "2013-01-23"),
        ("AAA-2013J-7", "registered", "2013-04-25"),
        ("AAA-2013J-7", "assessment_announced", "2013-09-20"),
        ("AAA-2013J-8", "registered", "2013-09-26"),
        ("AAA-2013J-8", "assessment_announced", "2013-09-26"),
        ("AAA-2013J-7", "clicked_forumng", "2013-10-01"),
        ("AAA-2013J-7", "clicked_forumng", "2013-10-01"),
        ("AAA-2013J-7", "clicked_quiz", "2013-10-01"),
        ("AAA-2013J-8", "unregistered", "2013-10-13"),
        ("AAA-2013J-7", "assessment_submitted", "2013-10-19"),
        ("AAA-2013J-7", "assessment_due", "2013-10-20"),
        ("AAA-2013J-8", "assessment_submitted", "2013-10-23"),
        ("AAA-2013J-7", "assessment_announced", "2014-05-27"),
        ("AAA-2013J-9", "assessment_announced", "2014-05-27"),
        ("AAA-2013J-7", "assessment_submitted", "2014-06-26"),
        ("AAA-2013J-7", "assessment_due", "2014-06-26"),
        ("AAA-2013J-9", "assessment_due", "2014-06-26"),
    ]
    assert found == sorted(found, key=lambda event: event.occurred_at)


def test_duplicate_rows_are_distinct_events_in_the_order_of_the_file(folder: Path) -> None:
    clicks = [e for e in events(read(folder)) if e.event_type.startswith("clicked") and e.user_id == "AAA-2013J-7"]
    assert [(e.event_id, e.measures) for e in clicks] == [
        ("oulad-vle-0", {"clicks": 3}),
        ("oulad-vle-1", {"clicks": 3}),
        ("oulad-vle-2", {"clicks": 1}),
    ]


def test_submissions_tell_lateness_and_score_if_known(folder: Path) -> None:
    submitted = of_type(events(read(folder)), "assessment_submitted")
    assert [e.measures for e in submitted] == [
        {"days_late": 0, "days_early": 1, "scored": 1, "score": 78},
        {"days_late": 3, "days_early": 0, "scored": 0},
        {"days_late": 0, "days_early": 0, "scored": 1, "score": 61.5},
    ]


def test_a_deadline_tells_whether_anything_was_handed_in_by_then(folder: Path) -> None:
    due = of_type(events(read(folder)), "assessment_due")
    # Student 9 need not hand in the first assessment again, student 8 had withdrawn before it.
    assert [(e.user_id, e.measures) for e in due] == [
        ("AAA-2013J-7", {"missed": 0}),
        ("AAA-2013J-7", {"missed": 0}),
        ("AAA-2013J-9", {"missed": 1}),
    ]


def test_a_late_submission_counts_as_missed_at_its_deadline(folder: Path) -> None:
    (folder / "studentRegistration.csv").write_text(TABLES["studentRegistration.csv"].replace("-5,12", "-5,"))
    due = of_type(events(read(folder)), "assessment_due")
    assert [e.measures for e in due if e.user_id == "AAA-2013J-8"] == [{"missed": 1}, {"missed": 1}]


def test_times_of_day_keep_to_their_hours(folder: Path) -> None:
    hours = {(e.event_type.split("_")[0], e.occurred_at.hour) for e in events(read(folder))}
    assert {hour for kind, hour in hours if kind == "registered"} == {6}
    assert {hour for kind, hour in hours if kind == "unregistered"} == {23}
    assert all(7 <= hour < 23 for kind, hour in hours if kind == "clicked")
    due = {e.occurred_at.hour for e in events(read(folder)) if e.event_type == "assessment_due"}
    assert due == {23}


def test_reading_again_gives_the_same_bytes(folder: Path) -> None:
    first, again = (b"\n".join(c.values[0] for c in read(folder).chunks(rows=1)) for _ in range(2))
    assert first == again
    assert first.startswith(
        b'{"event_id":"oulad-vle-3","user_id":"BBB-2013B-7","event_type":"clicked_forumng","occurred_at":"2013-01-23T'
    )


def test_what_is_left_out_is_counted(folder: Path) -> None:
    assert read(folder).skipped == {
        "banked submissions (results carried over from an earlier presentation)": 1,
        "registrations without a date": 1,
    }


def test_dates_bound_what_is_read(folder: Path) -> None:
    found = events(read(folder), datetime(2013, 10, 1, tzinfo=UTC), datetime(2013, 10, 14, tzinfo=UTC))
    assert [e.event_type for e in found] == ["clicked_forumng", "clicked_forumng", "clicked_quiz", "unregistered"]
    with pytest.raises(InputError, match="has no time zone"):
        events(read(folder), datetime(2013, 10, 1))  # noqa: DTZ001  # the missing zone is the point


def test_chunks_name_the_time_and_user_of_each_value(folder: Path) -> None:
    for chunk in read(folder).chunks(rows=3, shift_days=3650):
        decoded = [decode(value) for value in chunk.values]
        assert [e.user_id for e in decoded] == chunk.user_ids
        assert [round(e.occurred_at.timestamp() * 1e6) for e in decoded] == chunk.occurred_at_us.tolist()
        assert decoded[0].occurred_at.year >= 2023


def test_enrolments_carry_their_days(folder: Path) -> None:
    found = read(folder).enrolments()
    assert found["user_id"].tolist() == ["AAA-2013J-7", "AAA-2013J-8", "AAA-2013J-9", "BBB-2013B-7"]
    assert found["presentation_length_days"].tolist() == [268, 268, 268, 240]
    assert found["registered_day"].fillna(999).tolist() == [-159, -5, 999, 999]
    assert found["unregistered_day"].fillna(999).tolist() == [999, 12, 999, 999]
    assert found["start"][3] == presentation_start("2013B")


def test_parquet_with_joined_activity_types_gives_the_same_events(folder: Path) -> None:
    before = events(read(folder))
    columns = {
        "code_module": pa.array(["AAA", "AAA", "AAA", "BBB"]).dictionary_encode(),
        "code_presentation": pa.array(["2013J", "2013J", "2013J", "2013B"]).dictionary_encode(),
        "id_student": pa.array([7, 7, 7, 7], pa.int32()),
        "activity_type": pa.array(["forumng", "forumng", "quiz", "forumng"]).dictionary_encode(),
        "date": pa.array([0, 0, 0, -9], pa.int16()),
        "sum_click": pa.array([3, 3, 1, 12], pa.int16()),
    }
    pq.write_table(pa.table(columns), folder / "studentVle.parquet")
    for name in ("studentVle.csv", "vle.csv"):
        (folder / name).unlink()
    assert events(read(folder)) == before


def test_every_event_meets_the_declaration(folder: Path) -> None:
    path = Path("feature_repo/declarations/oulad.yaml")
    declared = parse(path.read_text(encoding="utf-8"), str(path))
    assert [complaint for event in events(read(folder)) for complaint in complaints(event, declared.events)] == []
    assert len(declared.counters) <= 25
    assert len(declared.features) <= 120


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("courses.csv", None, r"no courses\.csv; an OULAD folder holds courses\.csv, assessments\.csv"),
        ("vle.csv", None, r"no vle\.csv"),
        (
            "courses.csv",
            "code_module,length\n",
            "no column code_presentation, module_presentation_length; it has code_module",
        ),
        (
            "vle.csv",
            "id_site,code_module,code_presentation,activity_type\n",
            "4 visits name a site that vle.csv does not have",
        ),
        ("assessments.csv", "code_module,code_presentation,id_assessment,date\n", "4 submissions name an assessment"),
        (
            "studentVle.csv",
            f"{KEY},id_site,date,sum_click\nAAA,2013J,7,100,today,3\n",
            "a table cannot be read: .*today",
        ),
    ],
)
def test_an_unusable_folder_is_named(folder: Path, name: str, text: str | None, message: str) -> None:
    (folder / name).unlink()
    if text is not None:
        (folder / name).write_text(text)
    with pytest.raises(DataError, match=message):
        read(folder)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        read(tmp_path / "away")


def test_a_replay_publishes_everything_and_says_what_is_synthetic(folder: Path) -> None:
    published: list[str] = []
    report = replay(folder, lambda user_id, _value: published.append(user_id))
    assert (report.published, len(published), published[0]) == (17, 17, "BBB-2013B-7")
    assert report.lines()[0] == f"{folder}: 17 events published from 2013-01-23 to 2014-06-26"
    assert "times of day are synthetic" in report.lines()[1]


def test_a_live_replay_waits_between_days(folder: Path) -> None:
    clock, at = [0.0], []

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    pace = Pace(86_400, lambda: clock[0], sleep)
    replay(folder, lambda _user, _value: at.append(clock[0]), pace=pace)
    # 22 January 2013 to 26 June 2014 are 519 days; a day lasts a second.
    assert at[0] == 0.0
    assert 518 < at[-1] < 520


def test_the_real_folder_gives_every_click_and_submission(oulad_folder: Path) -> None:
    log = read(oulad_folder)
    counts = log.counts()
    assert sum(n for name, n in counts.items() if name.startswith("clicked_")) == 4_875_652
    assert (counts["assessment_submitted"], counts["registered"], counts["unregistered"]) == (82_122, 13_511, 3_723)
    assert (counts["assessment_announced"], counts["assessment_due"]) == (118_032, 114_399)
    # Clicks of the first week of October 2013, counted from studentVle.parquet alone.
    autumn = log.chunks(datetime(2013, 10, 1, tzinfo=UTC), datetime(2013, 10, 8, tzinfo=UTC))
    total = sum(
        sum(e.measures.values()) for c in autumn for e in map(decode, c.values) if e.measures and "clicks" in e.measures
    )
    assert total == 542_059
