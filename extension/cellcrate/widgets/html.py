"""What every piece of HTML here needs.

Colours come from JupyterLab's theme variables, with a fallback for other front ends, so that dark
and light themes both work. Styles stand in the elements: a notebook that is not trusted loses
everything else.
"""

from __future__ import annotations

from html import escape

__all__ = ["BORDER", "FONT", "MONO", "MUTED", "bar", "escape", "level_colour"]

MUTED = "var(--jp-ui-font-color2, #777)"
BORDER = "var(--jp-border-color2, #ddd)"
FONT = "var(--jp-ui-font-family, sans-serif)"
MONO = "var(--jp-code-font-family, monospace)"

GOOD = "var(--jp-success-color1, #388e3c)"
WARM = "var(--jp-warn-color1, #f57c00)"
HOT = "var(--jp-error-color1, #d32f2f)"
TRACK = "var(--jp-layout-color2, #eee)"


def level_colour(share: float) -> str:
    """Return the colour for a share of a limit."""
    if share >= 0.9:
        return HOT
    return WARM if share >= 0.7 else GOOD


def bar(share: float, label: str) -> str:
    """Return a horizontal bar, filled to a share between 0 and 1."""
    width = 100 * min(1.0, max(0.0, share))
    return (
        f'<div role="meter" aria-valuemin="0" aria-valuemax="100" aria-valuenow="{width:.0f}" '
        f'aria-label="{escape(label)}" style="background:{TRACK};border-radius:3px;height:8px;'
        f'min-width:60px;overflow:hidden"><div style="width:{width:.1f}%;height:100%;'
        f'background:{level_colour(share)}"></div></div>'
    )
