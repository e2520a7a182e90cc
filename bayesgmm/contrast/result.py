"""What a contrast of EM with the posterior holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .figure import plot_contrast

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["Contrast"]


@dataclass(frozen=True, eq=False, repr=False)
class Contrast:
    """EM as people use it, EM with its intervals, and the posterior: the same model on the same data.

    Attributes
    ----------
    parameters : DataFrame
        Index: the parameter, such as ``weights[0]``, ``means[0, eruptions]``, ``covariances[0, eruptions, waiting]``
        (tied: ``covariances[eruptions, waiting]``; spherical: ``covariances[0]``). Columns: ``em``, ``em_se`` (from the
        observed information; nan where that is not positive definite), ``em_lb`` and ``em_ub`` (em -+ z em_se),
        ``mean``, ``sd``, ``lb``, ``ub`` (equal-tailed), ``z`` = (em - mean) / sd, ``inside``.
    memberships : DataFrame
        Index ``obs_id``. EM: ``em_assignment``, ``em_probability`` (of that cluster, at the estimate). EM with
        delta-method intervals (`membership_intervals`; nan without standard errors): ``delta_probability`` (of EM's
        cluster, over the uncertainty of the estimate), ``delta_lb``, ``delta_ub``, ``delta_assignment`` and
        ``delta_modal_probability`` (of that one). The posterior: ``posterior_probability`` (of EM's cluster), ``lb``,
        ``ub``, ``posterior_assignment`` and ``posterior_modal_probability``. Of each whether it leaves the row open:
        ``em_open``, ``delta_open``, ``posterior_open``. ``total_variation`` (between EM's and the posterior's
        probabilities), ``flips`` (their assignments differ), ``sample_weight`` (rows that the row counts for).
    answers : DataFrame
        The three side by side, columns ``em``, ``em_intervals``, ``posterior``; index ``open rows``, ``expected
        misallocations`` (rows in the wrong cluster if each goes to its most probable one), and ``interval width`` (mean
        over rows, of the probability of EM's cluster; EM's point has none). Rows count by their case weights.
    added : DataFrame
        What the posterior adds ``to em`` and ``to em_intervals``: index and rule as in `contrast.claims`.
    prediction : DataFrame
        Index: ``in sample``, and ``holdout`` or ``cross-validated`` where asked for. Columns: ``n_rows``, ``em`` (log
        density at EM's point), ``posterior`` (log of the posterior mean density), ``difference`` (posterior - em), each
        summed over rows by their case weights (``n_rows`` is the sum of those; held-out rows count once), and ``se`` of
        the difference. In sample both are optimistic, EM the more.
    summary : str
        In words, with numbers; the last line is what a reader who had only EM would have got wrong.
    verdict : str
        Of `diagnose` on the posterior.
    good_enough : {"em", "em with intervals", "no", ""}
        The least that tells what the posterior tells; empty where the verdict does not allow an answer.
    ci_prob, open_below : float
    """

    parameters: pd.DataFrame
    memberships: pd.DataFrame
    answers: pd.DataFrame
    added: pd.DataFrame
    prediction: pd.DataFrame
    summary: str
    verdict: str
    good_enough: str
    ci_prob: float
    open_below: float

    def __repr__(self) -> str:
        return self.summary

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(self.summary)}</pre>{self.parameters.to_html(float_format='{:.4g}'.format)}"

    def plot(self) -> Figure:
        """Parameters on the posterior's scale, EM's error bars beside; and each row's probability three times."""
        return plot_contrast(self.parameters, self.memberships, self.verdict, self.ci_prob, self.open_below)
