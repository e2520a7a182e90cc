"""What the commands print is whole: no column and no value ends in an ellipsis, through a pipe or on a narrow terminal."""

from __future__ import annotations

import pandas as pd
import pytest

from bayesgmm.cli.show import show_table
from bayesgmm.report.plots.style import PALETTE, cluster_style


@pytest.mark.parametrize("columns", ["80", "60"])
def test_the_verdict_is_readable_through_a_pipe(columns, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    names = ["bic", "elpd", "elpd_diff", "elpd_diff_se", "p_k", "p_structure"]
    frame = pd.DataFrame({name: [-123456.789, 2.5] for name in names})
    frame.insert(0, "analysis", ["reports/a-rather-long-folder-name"] * 2)
    frame["verdict"] = ["label switching", "not converged"]
    show_table(frame, "Sampled models")
    shown = capsys.readouterr().out
    assert "…" not in shown
    assert "label switching" in shown
    assert shown.count("-123456.789") == len(names)


def _lab(colour: str) -> list[float]:
    """CIE 1976 L*a*b* of an sRGB colour (IEC 61966-2-1, D65)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    x = (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505
    y = 0.2126 * r + 0.7152 * g + 0.0722 * b
    z = (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089
    fx, fy, fz = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x, y, z))
    return [116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)]


def test_twelve_clusters_have_twelve_colours() -> None:
    """No two within 20 units of CIE 1976 colour difference, ten times what is just noticeable."""
    assert len({cluster_style(k)["color"] for k in range(12)}) == 12
    points = [_lab(colour) for colour in PALETTE]
    for i, one in enumerate(points):
        for other in points[:i]:
            assert sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5 > 20
