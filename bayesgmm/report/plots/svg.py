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
_TAG = re.compile(r"<[^>]*>")
_ID = re.compile(r' id="([^"]*)"')
_REFERENCE = re.compile(r'(url\(#|href="#)([^)"]*)')
_NUMBER = re.compile(r"-?\d+\.\d{3,}(?![\de])")
_GEOMETRY = re.compile(r' (d|x|y|transform)="([^"]*)"')
_FAMILY = re.compile(r"; font-family: [^;\"]*")


def inline(figure: Figure, prefix: str, title: str, description: str) -> Markup:
    """Draw a figure as an SVG element.

    Parameters
    ----------
    figure : Figure
    prefix : str
        Of the ids and classes; unique on the page.
    title, description : str
        What a screen reader says of it.
    """
    buffer = io.StringIO()
    with figure_style(), warnings.catch_warnings():
        # The page's own fonts draw the text; that the measuring font lacks a glyph changes nothing there.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(buffer, format="svg", transparent=True, dpi=140, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    head, body = text.split(">", 1)
    box = re.search(r'viewBox="([^"]*)"', head)
    assert box is not None
    body = _compact(_own_ids(body, prefix))
    body, rules = _classes(body, prefix)
    width = float(box[1].split()[2])
    return Markup(
        f'<svg viewBox="{box[1]}" style="--width: {width:.0f}pt" role="img" '
        f'aria-labelledby="{prefix}-title {prefix}-desc"><title id="{prefix}-title">{escape(title)}</title>'
        f'<desc id="{prefix}-desc">{escape(description)}</desc><style>{rules}</style>{body}'
    )


def _own_ids(body: str, prefix: str) -> str:
    """Drop the ids that nothing refers to; make the others the figure's own. Only tags are touched, never text."""
    numbers: dict[str, str] = {}
    for _, name in _REFERENCE.findall("".join(_TAG.findall(body))):
        numbers.setdefault(name, f"{prefix}-{len(numbers)}")

    def renamed(tag: re.Match[str]) -> str:
        text = _ID.sub(lambda m: f' id="{numbers[m[1]]}"' if m[1] in numbers else "", tag[0])
        text = _REFERENCE.sub(lambda m: m[1] + numbers[m[2]], text)
        return text.replace("xlink:href", "href")

    return _TAG.sub(renamed, body)


def _compact(body: str) -> str:
    """Two decimals are a hundredth of a point; line breaks and repeated commands in paths say nothing."""

    def rounded(m: re.Match[str]) -> str:
        value = _NUMBER.sub(lambda n: f"{float(n[0]):.2f}".rstrip("0").rstrip("."), m[2])
        if m[1] == "transform" and value.startswith("rotate(-0 "):
            return ""
        if m[1] == "d":
            value = re.sub(r"\s*([A-Za-z])\s*", r"\1", value.strip())
        return f' {m[1]}="{value}"'

    return re.sub(r">\s*\n\s*", ">", _TAG.sub(lambda tag: _GEOMETRY.sub(rounded, tag[0]), body))


def _classes(body: str, prefix: str) -> tuple[str, str]:
    """Styles, which repeat, as classes; the interface's colours as variables of the page; the page's fonts."""
    names: dict[str, str] = {}

    def named(m: re.Match[str]) -> str:
        style = _COLOUR.sub(lambda c: _VARIABLES[c[0]], _FAMILY.sub("", m[1]))
        return f' class="{names.setdefault(style, f"{prefix}{len(names)}")}"'

    body = _TAG.sub(lambda tag: re.sub(r' style="([^"]*)"', named, tag[0]), body)
    return body, "".join(f".{name}{{{style}}}" for style, name in names.items())
