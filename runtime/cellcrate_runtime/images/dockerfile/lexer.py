"""Words, quotes and variables, as Docker's builders read them.

It is a shell's grammar without a shell: ``$NAME``, ``${NAME}`` with its modifiers, both kinds of
quotes, and an escape character that a Dockerfile may choose. Source: the reference of the
Dockerfile format, "Environment replacement"; where that is silent, BuildKit's
frontend/dockerfile/shell is what decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cellcrate_runtime.images.dockerfile.errors import ExpansionError
from cellcrate_runtime.images.dockerfile.globs import Glob

__all__ = ["Expansion", "Style", "expand", "expand_words"]

# Special parameters of a shell; a build has none of them, so they are empty.
_SPECIAL = frozenset("@*#?-$!0")
_DEEPEST = 50


@dataclass(frozen=True, slots=True)
class Style:
    """How a text is read.

    Attributes:
        escape: The escape character.
        keep_quotes: Leave quotes in the result, and everything between them as it is.
        keep_escapes: Leave escape characters in the result.
        keep_unset: Leave variables that have no value as they are written.
        quotes_mean_nothing: Quotes are characters as others are (the lines of a heredoc).
    """

    escape: str = "\\"
    keep_quotes: bool = False
    keep_escapes: bool = False
    keep_unset: bool = False
    quotes_mean_nothing: bool = False


PLAIN = Style()


@dataclass(slots=True)
class Expansion:
    """A text with its variables replaced.

    Attributes:
        text: The whole text.
        words: The same, split at blanks that are not quoted.
        used: The variables that have a value and were asked for.
    """

    text: str = ""
    words: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)


def expand(text: str, variables: Mapping[str, str], style: Style = PLAIN) -> str:
    """Replace variables, and remove quotes and escapes.

    Raises:
        ExpansionError: A quote or a brace is not closed, a modifier does not exist, or a variable
            that must have a value (``${X:?reason}``) has none.
    """
    return read(text, variables, style).text


def expand_words(text: str, variables: Mapping[str, str], style: Style = PLAIN) -> list[str]:
    """Replace variables, and split the result into words.

    Raises:
        ExpansionError: As :func:`expand`.
    """
    return read(text, variables, style).words


def read(text: str, variables: Mapping[str, str], style: Style = PLAIN) -> Expansion:
    """Do both, and tell which variables were used.

    Raises:
        ExpansionError: As :func:`expand`.
    """
    reader = _Reader(text, variables, style)
    try:
        result, words = reader.until("", style.keep_escapes)
    except ExpansionError as error:
        raise ExpansionError(f'failed to process "{text}": {error.reason}') from None
    return Expansion(result, words, reader.used)


class _Words:
    """Characters become words; only blanks that are not quoted separate them."""

    def __init__(self) -> None:
        self._word = ""
        self._done: list[str] = []

    def add(self, text: str) -> None:
        """Add what was not quoted."""
        for character in text:
            if not character.isspace():
                self._word += character
            elif self._word:
                self._done.append(self._word)
                self._word = ""

    def add_quoted(self, text: str) -> None:
        self._word += text

    def all(self) -> list[str]:
        return [*self._done, self._word] if self._word else self._done


class _Reader:
    """Reads one text from its beginning to its end."""

    def __init__(self, text: str, variables: Mapping[str, str], style: Style) -> None:
        self._text = text
        self._position = 0
        self._variables = variables
        self._style = style
        self._depth = 0
        self.used: set[str] = set()

    def until(self, stop: str, keep_escapes: bool) -> tuple[str, list[str]]:
        """Read to an unquoted character, which is taken, or to the end where ``stop`` is empty."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ExpansionError(f"substitutions are nested deeper than {_DEEPEST} times")
        result: list[str] = []
        words = _Words()
        while (character := self._peek()) and character != stop:
            if character == "$":
                part = self._dollar(keep_escapes)
                words.add(part)
            elif character in "'\"" and not self._style.quotes_mean_nothing:
                part = self._quoted(character, keep_escapes)
                words.add_quoted(part)
            elif character == self._style.escape:
                part = self._escaped(keep_escapes)
                words.add_quoted(part)
            else:
                part = self._next()
                words.add(part)
            result.append(part)
        if stop and not self._next():
            raise ExpansionError(f"unexpected end of statement while looking for matching {stop}")
        self._depth -= 1
        return "".join(result), words.all()

    def _escaped(self, keep_escapes: bool) -> str:
        mark = self._next()
        return (mark if keep_escapes else "") + self._next()

    def _quoted(self, quote: str, keep_escapes: bool) -> str:
        mark = self._next() if self._style.keep_quotes else self._next()[:0]
        inside = self._single_quoted() if quote == "'" else self._double_quoted(keep_escapes)
        return f"{mark}{inside}{mark}"

    def _single_quoted(self) -> str:
        """Everything up to the next single quote is what it is."""
        end = self._text.find("'", self._position)
        if end < 0:
            raise ExpansionError(
                "unexpected end of statement while looking for matching single-quote"
            )
        inside = self._text[self._position : end]
        self._position = end + 1
        return inside

    def _double_quoted(self, keep_escapes: bool) -> str:
        """Variables are replaced; only a quote, a dollar and the escape itself can be escaped."""
        result: list[str] = []
        while character := self._peek():
            if character == '"':
                self._next()
                return "".join(result)
            if character == "$":
                result.append(self._dollar(keep_escapes))
                continue
            self._next()
            if character == self._style.escape:
                following = self._peek()
                if keep_escapes:
                    result.append(character)
                if not following:
                    break
                if following in ('"', "$", self._style.escape):
                    character = self._next()
                elif keep_escapes:
                    continue  # it is there already
            result.append(character)
        raise ExpansionError("unexpected end of statement while looking for matching double-quote")

    # -- variables -----------------------------------------------------------------------------

    def _dollar(self, keep_escapes: bool) -> str:
        start = self._position
        self._next()
        if self._peek() != "{":
            name = self._name()
            if not name:
                return "$"
            return self._as_written(start) if self._is_kept(name) else self._value(name) or ""
        self._next()
        if not self._peek():
            raise ExpansionError("syntax error: missing '}'")
        if self._peek() in "{}:":
            raise ExpansionError("syntax error: bad substitution")
        name = self._name()
        replaced = self._substitution(name)
        return self._as_written(start) if self._is_kept(name) else replaced

    def _substitution(self, name: str) -> str:
        """Read from behind the name in ``${NAME…}`` to the closing brace; return the value."""
        modifier = self._next()
        if not modifier:
            raise ExpansionError("syntax error: missing '}'")
        if modifier == "}":
            return self._value(name) or ""
        if modifier == "/":
            return self._replaced(name)
        empty_counts = modifier == ":"
        if empty_counts:
            modifier += self._next()
        kind = modifier[-1:]
        if kind not in "+-?#%" or not kind or (empty_counts and kind in "#%"):
            raise ExpansionError(f"unsupported modifier ({modifier}) in substitution")
        word = self._argument("}", keep_escapes=kind in "#%")
        value = self._value(name)
        is_unset = value is None or (empty_counts and not value)
        match kind:
            case "-":
                return word if is_unset else value or ""
            case "+":
                return "" if is_unset else word
            case "?":
                if is_unset:
                    state = "unset" if value is None else "empty"
                    raise ExpansionError(f"{name}: {word or f'is not allowed to be {state}'}")
                return value or ""
            case _:
                return _cut(value or "", kind, word)

    def _replaced(self, name: str) -> str:
        """``${NAME/pattern/replacement}``; with a second slash in front, everywhere."""
        everywhere = self._peek() == "/"
        if everywhere:
            self._next()
        pattern = self._argument("/", keep_escapes=True)
        replacement = self._argument("}", keep_escapes=True)
        return _glob(pattern).replace(self._value(name) or "", replacement, everywhere=everywhere)

    def _argument(self, stop: str, *, keep_escapes: bool) -> str:
        try:
            return self.until(stop, keep_escapes)[0]
        except ExpansionError as error:
            if self._peek():
                raise
            if "looking for matching" not in error.reason:
                raise
            missing = "'/' in ${}" if stop == "/" else "'}'"
            raise ExpansionError(f"syntax error: missing {missing}") from None

    def _name(self) -> str:
        """A name of letters, digits and underscores, one special parameter, or a number."""
        start = self._position
        first = self._peek()
        if first in _SPECIAL and first and not first.isdigit():
            return self._next()
        while (character := self._peek()) and (character.isalnum() or character == "_"):
            if first.isdigit() and not character.isdigit():
                break
            self._next()
        return self._text[start : self._position]

    def _value(self, name: str) -> str | None:
        value = self._variables.get(name)
        if value is not None:
            self.used.add(name)
        return value

    def _is_kept(self, name: str) -> bool:
        return self._style.keep_unset and name not in self._variables

    def _as_written(self, start: int) -> str:
        return self._text[start : self._position]

    # -- characters ----------------------------------------------------------------------------

    def _peek(self) -> str:
        return self._text[self._position : self._position + 1]

    def _next(self) -> str:
        character = self._peek()
        self._position += len(character)
        return character


def _cut(value: str, kind: str, word: str) -> str:
    """``#`` cuts a pattern off the beginning, ``%`` off the end; doubled, as much as possible."""
    longest = word.startswith(kind)
    glob = _glob(word[1:] if longest else word)
    if kind == "#":
        return glob.cut_prefix(value, longest=longest)
    return glob.cut_suffix(value, longest=longest)


def _glob(pattern: str) -> Glob:
    try:
        return Glob(pattern)
    except ValueError as error:
        raise ExpansionError(f"invalid pattern ({pattern}) in substitution: {error}") from None
