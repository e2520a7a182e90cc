"""Formulas as MathML: drawn by the browser, without a script and without a request."""

import re

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

logger = logging.getLogger(__name__)


def _converted(node: nodes.Node, as_block: bool) -> str:
    try:
        drawn = tex2mathml(node.astext(), as_block=as_block)
    except MathError as error:
        logger.warning("cannot set the formula %r: %s", node.astext(), error, location=node)
        return ""
    # Limits beside the sign, not above and below it: without a mathematical font a browser sets them into each other.
    drawn = re.sub(r"(</?)munder(over)?\b", lambda m: m[1] + ("msubsup" if m[2] else "msub"), drawn)
    # Between "log" and its argument a browser leaves no space of its own.
    return re.sub(r"<mo>&ApplyFunction;</mo>(?!\s*<mo[^>]*>\()", '<mspace width="0.17em"></mspace>', drawn)


def visit_inline(translator, node) -> None:
    translator.body.append(_converted(node, as_block=False))
    raise nodes.SkipNode


def visit_block(translator, node) -> None:
    translator.body.append(translator.starttag(node, "div", CLASS="math-block"))
    if node["number"]:
        number = get_node_equation_number(translator, node)
        translator.body.append(f'<span class="eqno">({number})</span>')
    translator.body.append(_converted(node, as_block=True))
    translator.body.append("</div>")
    raise nodes.SkipNode


def setup(app) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
