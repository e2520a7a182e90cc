"""A figure as SVG that can stand inside a page: no outside references, no clashing ids, coloured by the style sheet."""

from __future__ import annotations

import io
import re
import warnings
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from .style import GRID, INK, MUTED, PALETTE, figure_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["inline"]

_VARIABLES = {INK: "var(--ink)", MUTED: "var(--axis)", GRID: "var(--grid)"} | {
    colour: f"var(--cluster-{k})" for k, colour in enumerate(PALETTE)
}
_COLOUR = re.compile("|".join(_VARIABLES))
_STYLE = re.compile(r'style="[^"]*"')
_ID = re.compile(r' id="([^"]*)"')


def inline(figure: Figure, name: str, title: str, description: str) -> Markup:
    """Draw a figure as an SVG element.

    Parameters
    ----------
    figure : Figure
    name : str
        Prefix of the ids, unique on the page.
    title, description : str
        What a screen reader says of it.
    """
    buffer = io.StringIO()
    with figure_style(), warnings.catch_warnings():
        # The page's own fonts draw the text; that the measuring font lacks a glyph changes nothing there.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format="svg", transparent=True, dpi=140, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    head, body = text.split(">", 1)
    box = re.search(r'viewBox="([^"]*)"', head)
    assert box is not None
    width = float(box[1].split()[2])
    body = _own_ids(body, name).replace("xlink:href", "href")
    body = _STYLE.sub(lambda m: _COLOUR.sub(lambda c: _VARIABLES[c[0]], m[0]), body)
    body = re.sub(r"\n\s*", "\n", body)
    return Markup(
        f'<svg viewBox="{box[1]}" style="--width: {width:.0f}pt" role="img" aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>{body}'
    )


def _own_ids(body: str, name: str) -> str:
    """Drop the ids that nothing refers to; make the others the figure's own."""
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]*)', body))
    # Text content cannot hold a raw quote-delimited attribute: the writer escapes < and > but ids are only in tags.
    body = re.sub(r"<[^>]*>", lambda tag: _ID.sub(lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", tag[0]), body)
    return re.sub(r"<[^>]*>", lambda tag: re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", tag[0]), body)
