"""EM's own standard errors, as the contrast uses them: `em.standard_errors`."""

from __future__ import annotations

from ..em.standard_errors import StandardErrors, standard_errors

__all__ = ["StandardErrors", "standard_errors"]
