"""Reading nested mappings with errors that name the place."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from churn.errors import DeclarationError


@dataclass(frozen=True)
class Section:
    """One mapping of a document and the path that leads to it."""

    path: str
    name: str
    content: Mapping[str, Any]

    @classmethod
    def root(cls, where: str, document: object) -> "Section":
        """Return the document as a section; `where` starts the path in messages."""
        return cls._of(where, "", document)

    @classmethod
    def _of(cls, path: str, name: str, value: object) -> "Section":
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise DeclarationError(f"{path}: a mapping of names is needed, got {value!r:.80}")
        return cls(path, name, value)

    def error(self, message: str) -> DeclarationError:
        """Return an error that names this place."""
        return DeclarationError(f"{self.path}: {message}")

    def keys(self) -> list[str]:
        """Return the keys in the order of the document."""
        return list(self.content)

    def allow(self, *known: str) -> None:
        """Refuse keys other than `known`."""
        unknown = sorted(set(self.content) - set(known))
        if unknown:
            raise self.error(f"unknown key {unknown}; known are {sorted(known)}")

    def section(self, key: str) -> "Section":
        """Return the mapping below `key`; an absent one is empty."""
        return self._of(f"{self.path}: {key}", key, self.content.get(key, {}))

    def children(self) -> Iterator["Section"]:
        """Yield the mapping below each key."""
        for key in self.content:
            yield self.section(key)

    def text(self, key: str, default: str | None = None) -> str:
        """Return a string."""
        value = self.content.get(key, default)
        if not isinstance(value, str) or (default is None and not value):
            raise self.error(f"`{key}` must be a text, got {value!r:.80}")
        return value

    def texts(self) -> dict[str, str]:
        """Return this mapping as strings by name."""
        return {key: self.text(key) for key in self.content}

    def strings(self, key: str) -> list[str]:
        """Return a list of different strings."""
        values = self._list(key)
        if not all(isinstance(value, str) for value in values) or len(set(values)) != len(values):
            raise self.error(f"`{key}` must be a list of different texts, got {values!r:.80}")
        return values

    def integer(self, key: str, default: int) -> int:
        """Return a positive integer."""
        return self._positive_integer(key, self.content.get(key, default))

    def integers(self, key: str) -> list[int]:
        """Return a list of positive integers."""
        return [self._positive_integer(key, value) for value in self._list(key)]

    def number(self, key: str, default: float) -> float:
        """Return a finite number."""
        return self._finite(key, self.content.get(key, default))

    def numbers(self, key: str) -> list[float]:
        """Return a list of finite numbers."""
        return [self._finite(key, value) for value in self._list(key)]

    def flag(self, key: str) -> bool:
        """Return true or false; absent means false."""
        value = self.content.get(key, False)
        if not isinstance(value, bool):
            raise self.error(f"`{key}` must be true or false, got {value!r:.80}")
        return value

    def amount(self, key: str) -> int | str:
        """Return a positive integer or the name of a measure."""
        value = self.content[key]
        return value if isinstance(value, str) and value else self._positive_integer(key, value)

    def _list(self, key: str) -> list[Any]:
        value = self.content.get(key)
        if not isinstance(value, list) or not value:
            raise self.error(f"`{key}` must be a list that is not empty, got {value!r:.80}")
        return value

    def _positive_integer(self, key: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 10**9:
            raise self.error(f"`{key}` must be a whole number from 1 to 10^9, got {value!r:.80}")
        return value

    def _finite(self, key: str, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.error(f"`{key}` must be a number, got {value!r:.80}")
        return float(value)
