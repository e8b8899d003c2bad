"""What ``extra`` holds, as fields of a record."""

from __future__ import annotations

import sys
from typing import Any

#: Lists and dictionaries within each other, beyond which one is shown as text.
_DEPTH_MAX = 32


def field(value: object) -> bool | int | float | str | bytes:
    """The value as a ring takes it: numbers, truth values and text as such, what else JSON has as that, in bytes.

    Everything else is its text; where that cannot be had, the text says why. So no value costs more than itself.
    """
    kind = type(value)
    if kind is str or kind is bool or kind is float:
        return value  # type: ignore[return-value]
    try:
        made = _plain(value, 0)
        if made is None or type(made) in (list, dict):
            return _json(made)
        if type(made) is int and not -(2**63) <= made < 2**64:
            return str(made)
        plain: bool | int | float | str = made
        return plain
    except Exception as error:
        return f"({kind.__name__} that cannot be shown: {type(error).__name__})"


def _plain(value: Any, depth: int) -> Any:
    """The value as one of the types that JSON knows."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, (dict, list, tuple)) and depth < _DEPTH_MAX:
        if isinstance(value, dict):
            return {_text(name): _inner(member, depth + 1) for name, member in value.items()}
        # A named tuple, or any other custom class, has a text of its own.
        if type(value) in (list, tuple):
            return [_inner(member, depth + 1) for member in value]
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    return _number(value)


def _number(value: Any) -> Any:
    """Numbers of other packages, such as numpy, by what they say that they are."""
    # A program that has such a number has imported this.
    numbers = sys.modules.get("numbers")
    if numbers is not None and isinstance(value, numbers.Real):
        if isinstance(value, numbers.Integral):
            return int(value)
        if not isinstance(value, numbers.Rational):
            return float(value)
    if type(value).__module__ == "numpy" and type(value).__name__ in ("bool", "bool_"):
        return bool(value)
    return _text(value)


def _inner(value: Any, depth: int) -> Any:
    """Like ``_plain``, for what is in a list or a dictionary; what fails there is shown there."""
    try:
        made = _plain(value, depth)
    except Exception as error:
        return f"({type(value).__name__} that cannot be shown: {type(error).__name__})"
    if type(made) is float and (made != made or made in (float("inf"), float("-inf"))):
        return {"inf": "inf", "-inf": "-inf"}.get(str(made), "NaN")
    if type(made) is int and not -(2**63) <= made < 2**64:
        return str(made)
    return made


def _text(value: object) -> str:
    text = str(value)
    return text if type(text) is str else str.__str__(text)


def _json(value: object) -> bytes:
    # Its import takes a millisecond, which a program without such a value need not wait for.
    import json

    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    # Surrogates are shown as in a message.
    return text.encode("utf-8", "backslashreplace") if text.isascii() else _encoded(text)


def _encoded(text: str) -> bytes:
    return "".join(f"\\\\u{ord(c):04x}" if "\ud800" <= c <= "\udfff" else c for c in text).encode()
