"""Values in GVariant's text format, as annotations have them, for busctl(1).

``uint64 123``, ``'text'``, ``true`` and ``['a', 'b']``; of containers, arrays of such values alone.
Source: https://docs.gtk.org/glib/gvariant-text-format.html; busctl(1), "PARAMETER FORMATTING".
"""

from __future__ import annotations

import re

from .errors import CgroupError
from .properties import Property

__all__ = ["of_annotations"]

_PREFIX = "org.systemd.property."

_TYPES = {
    "boolean": "b",
    "byte": "y",
    "int16": "n",
    "uint16": "q",
    "int32": "i",
    "uint32": "u",
    "int64": "x",
    "uint64": "t",
    "double": "d",
    "string": "s",
    "objectpath": "o",
}
_INTEGERS = "ynqiuxt"

_VALUE = re.compile(
    r"""\s*(?:(?P<type>[a-z]+[0-9]*|@\w+)\s+)?
    (?: (?P<bool>true|false)\b
      | (?P<number>[-+]?(?:0x[0-9a-fA-F]+|[0-9.]+(?:e[-+]?[0-9]+)?))
      | '(?P<single>(?:[^'\\]|\\.)*)'
      | "(?P<double>(?:[^"\\]|\\.)*)"
    )\s*""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r"}


def of_annotations(annotations: dict[str, str]) -> list[Property]:
    """The properties of systemd that annotations ``org.systemd.property.NAME`` ask for.

    A name that ends in ``Sec`` takes seconds, which become the microseconds of one in ``USec``.

    Raises:
        CgroupError: A name or a value cannot be.
    """
    found = []
    for key, text in annotations.items():
        if not key.startswith(_PREFIX):
            continue
        name = key.removeprefix(_PREFIX)
        if len(name) < 3 or not (name.isascii() and name.isalpha()):
            raise CgroupError(f"annotation {key}: {name!r} is no property of a unit")
        try:
            found.append(_property(name, *_parse(text)))
        except ValueError as error:
            raise CgroupError(f"annotation {key}={text}: {error}") from None
    return found


def _property(name: str, signature: str, values: list[str]) -> Property:
    stem = name.removesuffix("Sec")
    if stem == name or not stem[-1:].islower():
        return name, signature, *values
    if signature not in (*_INTEGERS, "d"):
        raise ValueError("seconds are a number")
    return f"{stem}USec", "t", str(int(float(values[0]) * 1_000_000))


def _parse(text: str) -> tuple[str, list[str]]:
    """The type of a value, and it as words."""
    given, rest = _leading_type(text)
    if not rest.startswith("["):
        signature, value, end = _simple(text, 0)
        if end != len(text):
            raise ValueError("there is something after the value")
        return signature, [value]
    if not rest.endswith("]"):
        raise ValueError("the list does not end")
    items: list[str] = []
    common = given.removeprefix("a")
    position, last = 1, len(rest) - 1
    while rest[position:last].strip():
        signature, value, position = _simple(rest, position, common)
        common = common or signature
        if signature != common:
            raise ValueError("the values of a list are of one type")
        items.append(value)
        if rest[position] == ",":
            position += 1
        elif position != last:
            raise ValueError("the list is not one of plain values")
    if not common:
        raise ValueError("an empty list says what it is of, as @as []")
    return f"a{common}", [str(len(items)), *items]


def _leading_type(text: str) -> tuple[str, str]:
    """The type that is written before a list, such as ``@as``, and the rest."""
    text = text.strip()
    if text.startswith("@a"):
        signature, _, rest = text[1:].partition(" ")
        return signature, rest.strip()
    return "", text


def _simple(text: str, position: int, expected: str = "") -> tuple[str, str, int]:
    """The type and the word of one value, and where it ends."""
    found = _VALUE.match(text, position)
    if found is None:
        raise ValueError("this is no value in GVariant's text format, such as 'text' or uint32 5")
    written = found["type"] or ""
    signature = written.removeprefix("@") if written.startswith("@") else _TYPES.get(written, "")
    if written and signature not in _TYPES.values():
        raise ValueError(f"{written} is not a type of plain values")
    if found["bool"]:
        return _checked(signature or "b", "b"), found["bool"], found.end()
    if found["number"]:
        number = found["number"]
        is_double = not number.lower().startswith(("0x", "-0x", "+0x")) and set(number) & {*".e"}
        signature = signature or expected or ("d" if is_double else "i")
        _checked(signature, "d" if is_double else _INTEGERS + "d")
        return signature, number if is_double else str(int(number, 0)), found.end()
    quoted = found["single"] if found["single"] is not None else found["double"]
    plain = _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[1]), quoted)
    return _checked(signature or "s", "so"), plain, found.end()


def _checked(signature: str, allowed: str) -> str:
    if signature not in allowed:
        raise ValueError("the value is not of the type that it says")
    return signature
