"""How a registry says who it wants to hear from: the header ``WWW-Authenticate``.

Source: RFC 9110, section 11.6.1; the parameters of ``Bearer`` are those of distribution's token
authentication specification (docs/spec/auth/token.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Challenge", "parse_challenges"]

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_parameter = re.compile(rf'\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))\s*(?:,|$)')
_scheme = re.compile(rf"[\s,]*({_TOKEN})(?:\s+|\s*,|$)")
_token68 = re.compile(r"[0-9A-Za-z._~+/-]+=*\s*(?:,|$)")
_escaped = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to say who one is. Names are in small letters."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenges(header: str) -> list[Challenge]:
    """Read the header; several headers are joined by commas. What makes no sense ends the list."""
    found: list[Challenge] = []
    position = 0
    while match := _scheme.match(header, position):
        scheme, position = match[1].lower(), match.end()
        parameters: dict[str, str] = {}
        while parameter := _parameter.match(header, position):
            quoted = parameter[2]
            value = parameter[3] if quoted is None else _escaped.sub(r"\1", quoted)
            parameters.setdefault(parameter[1].lower(), value)
            position = parameter.end()
        if not parameters and (opaque := _token68.match(header, position)):
            position = opaque.end()
        found.append(Challenge(scheme, parameters))
    return found
