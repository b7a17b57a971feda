"""One table of options each command: parser, completion and documentation are made of it."""

from cellcrate.options.option import Group, Option, Parsed
from cellcrate.options.parsing import parse, split

__all__ = ["Group", "Option", "Parsed", "parse", "split"]
