"""Reading a declaration from its file."""

from pathlib import Path

from churn.declaration import Declaration, parse
from churn.errors import DeclarationError


def load(path: Path | str) -> Declaration:
    """Read and check the declaration at `path`.

    Raises:
        DeclarationError: the file is missing, unreadable or contradicts itself.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise DeclarationError(
            f"{path}: the declaration cannot be read ({error.strerror}); set CHURN_DECLARATION to a readable YAML file"
        ) from error
    except UnicodeDecodeError as error:
        raise DeclarationError(
            f"{path}: the declaration is not UTF-8 text ({error.reason} at byte {error.start})"
        ) from error
    return parse(text, str(path))
