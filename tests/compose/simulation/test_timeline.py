"""The audit log, read as it grows, becomes a timeline."""

from pathlib import Path

from compose.simulation.timeline import Diary, Happening

LINE = '{"step":"%s","version":"%s","reason":"why","evidence":{"kind":"score"},"at":"2026-01-01T00:00:00Z"}\n'


def test_a_step_belongs_to_the_day_on_which_it_appeared(tmp_path: Path) -> None:
    log, diary = tmp_path / "audit.jsonl", Diary(tmp_path)
    assert diary.turn(0) == []
    log.write_text(LINE % ("alarm", "") + LINE % ("announced", "1"))
    assert diary.turn(1) == [Happening(1, "alarm", "", "why")]
    with log.open("a") as more:
        more.write(LINE % ("promoted", "2"))
    assert diary.turn(2) == [Happening(2, "promoted", "2", "why")]


def test_a_line_that_is_being_written_waits_for_its_end(tmp_path: Path) -> None:
    log, diary, line = tmp_path / "audit.jsonl", Diary(tmp_path), LINE % ("promoted", "2")
    log.write_text(line[:20])
    assert diary.turn(0) == []
    with log.open("a") as rest:
        rest.write(line[20:])
    assert diary.turn(1) == [Happening(1, "promoted", "2", "why")]
