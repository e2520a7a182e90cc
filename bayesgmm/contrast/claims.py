"""What the posterior adds: to EM's point answer, and to EM with its delta-method intervals.

Each claim is about something that a reader would act on otherwise. A row that two answers put on either side of a threshold
by a hair is none: probabilities must differ by more than `MATTERS`.

===================  ======================================================  ===========================================
claim                to EM's point answer                                    to EM with intervals
===================  ======================================================  ===========================================
rows open            settled there, open in the posterior                    the same, by the mean over its uncertainty
rows settled         open there, settled in the posterior                    the same
rows moved           another cluster is the most probable                    the same
row intervals        the posterior's reaches farther than `MATTERS` from     an end of the two intervals differs by more
                     EM's probability
parameters           EM's estimate is outside the posterior's interval       an end of the two intervals differs by more
                                                                             than half a posterior sd
prediction           unseen rows have a higher log score, by two standard    the same: EM predicts by its point
                     errors and by four nats
===================  ======================================================  ===========================================

Four nats: smaller differences of log scores are not worth a choice (Sivula, Magnusson, Matamoros & Vehtari 2020, arXiv
2008.10296). An answer is good enough where no parameter and no prediction is claimed, and no row but one in a thousand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "CLAIMS",
    "GOOD_ENOUGH",
    "MATTERS",
    "added",
    "good_enough",
    "parameter_claims",
    "prediction_claims",
    "row_claims",
]

Array = NDArray[np.float64]
CLAIMS = ("rows open", "rows settled", "rows moved", "row intervals", "any row", "parameters", "prediction")
ROW_CLAIMS = CLAIMS[:4]
# Difference of two probabilities that a decision could turn on.
MATTERS = 0.05
# Ends of parameters' intervals may differ by this many posterior standard deviations.
_SD = 0.5
# Share of the rows that may be told otherwise where an answer is good enough.
GOOD_ENOUGH = 1e-3
_NATS, _ERRORS = 4.0, 2.0


def row_claims(members: pd.DataFrame, answer: str) -> pd.DataFrame:
    """For each row, which claims are made against ``answer``, "em" or "delta": columns `ROW_CLAIMS`.

    With "delta" and no standard errors no claim is made, for there is nothing to add to.
    """
    import pandas as pd

    was, now = members[f"{answer}_open"].to_numpy(dtype=bool), members["posterior_open"].to_numpy(dtype=bool)
    own, mine = members[f"{answer}_probability"], members["posterior_probability"]
    other = (members[f"{answer}_assignment"] != members["posterior_assignment"]).to_numpy()
    apart = ((own - mine).abs() > MATTERS).to_numpy()
    if answer == "em":
        reach = np.maximum(own - members["lb"], members["ub"] - own)
    else:
        ends = [(members[f"delta_{end}"] - members[end]).abs() for end in ("lb", "ub")]
        reach = np.maximum(*ends)
    columns = (~was & now & apart, was & ~now & apart, other & apart, (reach > MATTERS).to_numpy())
    known = own.notna().to_numpy()
    return pd.DataFrame(
        {name: column & known for name, column in zip(ROW_CLAIMS, columns, strict=True)}, index=members.index
    )


def parameter_claims(parameters: pd.DataFrame, answer: str) -> NDArray[np.bool_]:
    """Which parameters are claimed against ``answer``, "em" or "delta"."""
    if answer == "em":
        return ~parameters["inside"].to_numpy(dtype=bool)
    gap = np.maximum(*((parameters[f"em_{end}"] - parameters[end]).abs() for end in ("lb", "ub")))
    return np.asarray((gap > _SD * parameters["sd"]) & (parameters["sd"] > 0))


def prediction_claims(prediction: pd.DataFrame) -> list[str]:
    """The unseen rows, "holdout" or "cross-validated", that the posterior predicts better."""
    better = (prediction["difference"] > _ERRORS * prediction["se"]) & (prediction["difference"] > _NATS)
    return [str(name) for name in prediction.index[better] if name != "in sample"]


def added(parameters: pd.DataFrame, members: pd.DataFrame, prediction: pd.DataFrame) -> pd.DataFrame:
    """How many of each claim: index `CLAIMS`, columns ``to em`` and ``to em_intervals``; nan without standard errors."""
    import pandas as pd

    table: dict[str, Any] = {}
    for name, answer in (("to em", "em"), ("to em_intervals", "delta")):
        claims = row_claims(members, answer)
        weight = members["sample_weight"].to_numpy()
        counts = [float(weight[claims[claim]].sum()) for claim in ROW_CLAIMS]
        counts += [float(weight[claims.any(axis=1)].sum()), float(parameter_claims(parameters, answer).sum())]
        table[name] = [*counts, float(len(prediction_claims(prediction)))]
    if parameters["em_se"].isna().any():
        table["to em_intervals"] = np.nan
    return pd.DataFrame(table, index=pd.Index(CLAIMS, name="claim"))


def good_enough(table: pd.DataFrame, n_rows: float) -> str:
    """The least answer that tells what the posterior tells: "em", "em with intervals" or "no"."""
    for column, name in (("to em", "em"), ("to em_intervals", "em with intervals")):
        claims = table[column]
        told = not (claims["parameters"] or claims["prediction"]) and claims["any row"] <= GOOD_ENOUGH * n_rows
        if told and claims.notna().all():
            return name
    return "no"
