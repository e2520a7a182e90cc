"""The command line, called as its program is."""

from __future__ import annotations

import sys

import pytest

from bayesgmm.cli import main


def run(monkeypatch, capsys, *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of ``bayesgmm`` with these arguments."""
    monkeypatch.setattr(sys, "argv", ["bayesgmm", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err
