"""Names and texts of declarations and paths as parts of DuckDB's SQL."""


def quoted_text(value: str) -> str:
    """Return a text literal.

    >>> quoted_text("it's")
    "'it''s'"
    """
    return "'" + value.replace("'", "''") + "'"


def quoted_name(column: str) -> str:
    """Return the name of a column.

    >>> quoted_name('a "b"')
    '"a ""b\"""'
    """
    return '"' + column.replace('"', '""') + '"'
