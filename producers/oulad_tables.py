"""Read the tables of the Open University Learning Analytics Dataset (OULAD) from a folder, checked, as columns.

Kuzilek, Hlosta, Zdrahal, Scientific Data 4:170171 (2017), doi 10.1038/sdata.2017.171, CC-BY 4.0. The folder holds the
original files, or `studentVle.parquet` with the activity type joined in place of `studentVle.csv` and `vle.csv`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from churn.errors import DataError, InputError

Column = npt.NDArray[Any]

START_MONTHS = {"B": 2, "J": 10}
"""Month whose first day is day 0: B presentations start in February, J in October (the data set gives no date)."""

CLICK_COLUMNS = ("code_module", "code_presentation", "id_student", "date", "sum_click")
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "courses.csv": ("code_module", "code_presentation", "module_presentation_length"),
    "assessments.csv": ("code_module", "code_presentation", "id_assessment", "date"),
    "studentAssessment.csv": ("id_assessment", "id_student", "date_submitted", "is_banked", "score"),
    "studentRegistration.csv": (
        *("code_module", "code_presentation", "id_student"),
        *("date_registration", "date_unregistration"),
    ),
}
WITH_PARQUET: Mapping[str, tuple[str, ...]] = {"studentVle.parquet": (*CLICK_COLUMNS, "activity_type")}
WITH_CSV: Mapping[str, tuple[str, ...]] = {
    "studentVle.csv": (*CLICK_COLUMNS, "id_site"),
    "vle.csv": ("id_site", "code_module", "code_presentation", "activity_type"),
}
KEY = "code_module, code_presentation, id_student"


@dataclass(frozen=True)
class Tables:
    """The data set as columns (name -> array); `user` is a position in `enrolments`, `day` counts from 1970.

    Attributes:
        enrolments: module, presentation, student, start_day, length_days, registered and unregistered (days
            relative to the start; NaN: none).
        clicks: user, day, activity (position in `activities`), clicks, row (place in the file, from 0), file order.
        submissions: user, day, days_late (negative: early), score (NaN: none), row.
        deadlines: user, day (of the deadline), missed (nothing was handed in up to it), row (place among them).
        activities: every activity type that occurs, sorted.
        skipped: what was left out and how many rows of it.
    """

    enrolments: Mapping[str, Column]
    clicks: Mapping[str, Column]
    submissions: Mapping[str, Column]
    deadlines: Mapping[str, Column]
    activities: tuple[str, ...]
    skipped: Mapping[str, int]


def presentation_start(code: str) -> datetime:
    """Return day 0 of a presentation such as 2013J: 1 October (J) or 1 February (B) of its year, UTC.

    Raises:
        InputError: the code is not a year and B or J.

    >>> presentation_start("2013J").date().isoformat()
    '2013-10-01'
    """
    year, letter = code[:4], code[4:]
    if not (year.isdecimal() and len(year) == 4 and letter in START_MONTHS):
        raise InputError(f"presentation {code!r} is no year followed by B or J, such as 2013J")
    return datetime(int(year), START_MONTHS[letter], 1, tzinfo=UTC)


def load(folder: Path) -> Tables:
    """Read and check every table in `folder`.

    Raises:
        DataError: the folder, a file or a column is missing, or a table contradicts another or holds a bad value.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; name the one that holds the OULAD tables")
    wanted = {**COLUMNS, **(WITH_PARQUET if (folder / "studentVle.parquet").is_file() else WITH_CSV)}
    missing = [name for name in wanted if not (folder / name).is_file()]
    if missing:
        raise DataError(f"{folder}: no {', '.join(missing)}; an OULAD folder holds {', '.join(wanted)}")
    with duckdb.connect() as connection:
        try:
            for name, columns in wanted.items():
                _open(connection, folder / name, columns)
            return _tables(connection, folder)
        except duckdb.Error as error:
            raise DataError(f"{folder}: a table cannot be read: {error}") from error


def _open(connection: duckdb.DuckDBPyConnection, path: Path, columns: tuple[str, ...]) -> None:
    if path.suffix == ".parquet":
        rows = connection.read_parquet(str(path))
    else:
        # OULAD writes an unknown value as ? or leaves it empty.
        rows = connection.read_csv(str(path), header=True, all_varchar=True, na_values=["", "?"])
    missing = [name for name in columns if name not in rows.columns]
    if missing:
        raise DataError(f"{path}: no column {', '.join(missing)}; it has {', '.join(rows.columns)}")
    rows.select(", ".join(f'"{name}"' for name in columns)).create_view(path.stem)


def _tables(connection: duckdb.DuckDBPyConnection, folder: Path) -> Tables:
    _build(connection, (folder / "vle.csv").is_file() and not (folder / "studentVle.parquet").is_file())
    _check(connection, folder)
    activities = [str(name) for (name,) in connection.execute("select name from activity order by code").fetchall()]
    return Tables(
        enrolments=_enrolments(connection),
        clicks=_columns(connection, CLICKS),
        submissions=_columns(connection, SUBMISSIONS),
        deadlines=_columns(connection, DEADLINES),
        activities=tuple(activities),
        skipped={what: count for what, count in ((w, _count(connection, sql)) for w, sql in SKIPPED.items()) if count},
    )


VISITS_WITH_SITES = f"""
create table visit as
select v.row, v.{KEY.replace(", ", ", v.")}, site.activity_type, v.date::int as date, v.sum_click::int as clicks
from (select *, row_number() over () - 1 as row from "studentVle") v
left join (select distinct id_site, code_module, code_presentation, activity_type from vle) site
    using (id_site, code_module, code_presentation)
"""  # noqa: S608  # built from constants alone
VISITS = f"""
create table visit as
select row_number() over () - 1 as row, {KEY}, activity_type::varchar as activity_type, date::int as date, sum_click::int as clicks
from "studentVle"
"""  # noqa: S608  # built from constants alone
BUILD = f"""
create table submission as
select row_number() over () - 1 as row, id_assessment::int as assessment, id_student::int as student,
    date_submitted::int as day, coalesce(is_banked::int, 0) as banked, score::double as score
from "studentAssessment";
create table assessment as
select id_assessment::int as assessment, code_module, code_presentation, date::double::int as due from assessments;
create table course as
select code_module, code_presentation, module_presentation_length::double::int as length_days from courses;
create table enrolment as
select row_number() over (order by {KEY}) - 1 as user, *
from (
    select {KEY}, min(registered) as registered, min(unregistered) as unregistered
    from (
        select code_module, code_presentation, id_student::int as id_student,
            date_registration::double as registered, date_unregistration::double as unregistered
        from "studentRegistration"
        union all select distinct code_module, code_presentation, id_student::int, null, null from visit
        union all select distinct code_module, code_presentation, student, null, null
        from submission join assessment using (assessment)
    ) group by all
);
create table activity as
select name, row_number() over (order by name) - 1 as code from (select distinct activity_type as name from visit);
"""  # noqa: S608  # built from constants alone
CLICKS = """
select e.user, v.date as day, a.code as activity, v.clicks, v.row
from visit v join enrolment e on e.code_module = v.code_module and e.code_presentation = v.code_presentation
    and e.id_student = v.id_student::int
join activity a on a.name = v.activity_type
where v.date is not null and v.clicks is not null
order by v.row
"""
# An exam without a date takes place in the last week of its presentation, says the data set's description.
SUBMISSIONS = """
select e.user, s.day, s.day - coalesce(a.due, c.length_days) as days_late, coalesce(s.score, 'nan'::double) as score, s.row
from submission s join assessment a using (assessment)
join course c on c.code_module = a.code_module and c.code_presentation = a.code_presentation
join enrolment e on e.code_module = a.code_module and e.code_presentation = a.code_presentation
    and e.id_student = s.student
where s.banked = 0 and s.day is not null
order by s.row
"""
# What a student need not hand in again, because the result was carried over, has no deadline.
DEADLINES = """
select d.user, d.due as day, (d.handed_in is null)::int as missed, d.row
from (
    select *, row_number() over (order by "user", due, assessment) - 1 as row
    from (
        select e.user, a.assessment, coalesce(a.due, c.length_days) as due, max(s.banked) as banked,
            min(case when s.day <= coalesce(a.due, c.length_days) then s.day end) as handed_in
        from enrolment e
        join assessment a using (code_module, code_presentation)
        join course c using (code_module, code_presentation)
        left join submission s on s.assessment = a.assessment and s.student = e.id_student
        group by all
    )
) d
where coalesce(d.banked, 0) = 0
order by d.row
"""
SKIPPED = {
    "banked submissions (results carried over from an earlier presentation)": "from submission where banked <> 0",
    "submissions without a date": "from submission where banked = 0 and day is null",
    "registrations without a date": 'from "studentRegistration" where date_registration is null',
    "visits without a date or a number of clicks": "from visit where date is null or clicks is null",
}
CHECKS = {
    "visits name a site that vle.csv does not have": "from visit where activity_type is null",
    "visits have a negative number of clicks": "from visit where clicks < 0",
    "submissions name an assessment that assessments.csv does not have": "from submission anti join assessment using (assessment)",
    "enrolments belong to a presentation that courses.csv does not have": (
        "from enrolment anti join course using (code_module, code_presentation)"
    ),
    "presentations in courses.csv have no length": "from course where length_days is null",
    "presentations in courses.csv stand there twice": (
        "from (select 1 from course group by code_module, code_presentation having count(*) > 1)"
    ),
    "assessments in assessments.csv stand there twice": (
        "from (select 1 from assessment group by assessment having count(*) > 1)"
    ),
}


def _build(connection: duckdb.DuckDBPyConnection, with_sites: bool) -> None:
    connection.execute(VISITS_WITH_SITES if with_sites else VISITS)
    connection.execute(BUILD)


def _check(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    for what, sql in CHECKS.items():
        count = _count(connection, sql)
        if count:
            raise DataError(f"{folder}: {count} {what}; use a complete copy of the data set")


def _count(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    found = connection.execute(f"select count(*) {sql}").fetchone()  # only constants come here
    return int(found[0]) if found else 0


def _columns(connection: duckdb.DuckDBPyConnection, sql: str) -> Mapping[str, Column]:
    # No categorical comes back: every text is cast to varchar on the way in.
    found: Any = connection.execute(sql).fetchnumpy()
    return dict(found)


def _enrolments(connection: duckdb.DuckDBPyConnection) -> Mapping[str, Column]:
    found = dict(
        _columns(
            connection,
            "select code_module as module, code_presentation as presentation, id_student as student, length_days, "
            "coalesce(registered, 'nan'::double) as registered, coalesce(unregistered, 'nan'::double) as unregistered "
            "from enrolment join course using (code_module, code_presentation) order by user",
        )
    )
    starts = {str(code): presentation_start(str(code)).timestamp() // 86_400 for code in set(found["presentation"])}
    found["start_day"] = np.array([starts[str(code)] for code in found["presentation"]], dtype=np.int64)
    return found
