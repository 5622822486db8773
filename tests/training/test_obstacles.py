"""What may stand in the record, and what may not."""

import pytest

from training.obstacles import unnamed


def test_a_name_and_a_reason_in_any_script_are_taken() -> None:
    assert unnamed("Zoë 李", "précis\u00a0: prix 👩\u200d💻") == ""


@pytest.mark.parametrize("reason", ["two\nlines", "\x1b[2J", "\udcff", "a\u2028b"])
def test_what_would_forge_lines_of_a_printed_log_is_refused(reason: str) -> None:
    assert unnamed("ann", reason).endswith("has characters that cannot be printed; give it as one line of text")


def test_a_reason_that_the_registry_could_not_keep_is_refused() -> None:
    assert unnamed("ann", "x" * 2000) == ""
    assert (
        unnamed("ann", "x" * 2001) == "the reason has 2,001 characters; 2,000 are kept for the record, say it in fewer"
    )
