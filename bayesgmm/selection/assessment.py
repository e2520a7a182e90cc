"""What a comparison knows of one model, computed once and kept beside its draws.

Leave-one-out densities and evidences take as long as sampling. A model's assessment depends on its draws and a seed alone, so
that it can be written as soon as it is done and a comparison that was interrupted goes on from there.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile, ZipFile, is_zipfile

import numpy as np
from numpy.typing import NDArray

from ..checks import diagnose
from ..data import write_bytes
from ..sampling import Posterior, draws_file
from .evidence import LogEvidence, log_evidence
from .loo import leave_one_out
from .refit import Told
from .separate_modes import separate_modes

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Assessment", "AssessmentStore", "assess", "is_assessment"]

Array = NDArray[np.float64]
_LIBRARIES = ("bayesgmm", "arviz-stats", "numpy", "scipy", "numba")
_ARRAYS = ("elpd_rows", "sample_weight")


@dataclass(frozen=True, eq=False)
class Assessment:
    """One model, judged.

    Attributes
    ----------
    n_components : int
    covariance_type : str
    elpd_rows, sample_weight : (N,)
    p_loo : float
    n_high_k, n_refitted : int
    evidence : LogEvidence or None
    verdict : str
    trusted : bool
        Whether the verdict allows the draws to be believed.
    finding, remedy : str
        What the verdict rests on, and what to do.
    mode_weights : tuple of float
        Stacking weights of the modes in which chains stay apart; empty where they do not.
    """

    n_components: int
    covariance_type: str
    elpd_rows: Array
    sample_weight: Array
    p_loo: float
    n_high_k: int
    n_refitted: int
    evidence: LogEvidence | None
    verdict: str
    trusted: bool
    finding: str
    remedy: str
    mode_weights: tuple[float, ...]


def assess(
    post: xr.DataTree, *, evidence: bool = True, refit: bool = True, random_seed: int = 0, told: Told | None = None
) -> Assessment:
    """Verdict, leave-one-out densities and evidence of a sampled model; ``told`` as in `leave_one_out`."""
    view = Posterior.read(post)
    diagnosis = diagnose(post)
    mode_weights: tuple[float, ...] = ()
    if diagnosis.verdict == "multimodal":
        modes = separate_modes(post, refit=refit, random_seed=random_seed)
        elpd_rows, mode_weights = modes.elpd_rows, tuple(modes.weights.tolist())
        # Of the modes that carry the prediction.
        p_loo = float(np.average([m.p_loo for m in modes.loo], weights=modes.weights))
        used = [m for m, w in zip(modes.loo, modes.weights, strict=True) if w > 0.01]
        n_high_k, n_refitted = max(m.n_high_k for m in used), max(len(m.refitted) for m in used)
    else:
        loo = leave_one_out(view, refit=refit, random_seed=random_seed, told=told)
        elpd_rows, p_loo, n_high_k, n_refitted = loo.elpd_rows, loo.p_loo, loo.n_high_k, len(loo.refitted)
    return Assessment(
        n_components=view.n_components,
        covariance_type=view.draws.structure.name,
        elpd_rows=elpd_rows,
        sample_weight=view.sample_weight,
        p_loo=p_loo,
        n_high_k=n_high_k,
        n_refitted=n_refitted,
        evidence=log_evidence(post, random_seed=random_seed) if evidence else None,
        verdict=diagnosis.verdict,
        trusted=diagnosis.ok,
        finding=diagnosis.evidence,
        remedy=diagnosis.remedy,
        mode_weights=mode_weights,
    )


@dataclass(frozen=True)
class AssessmentStore:
    """Assessments, each kept when it is done: in memory, and in a folder unless that is None."""

    folder: Path | None = None
    made: dict[tuple[Any, ...], tuple[xr.DataTree, Assessment]] = field(default_factory=dict)

    def of(
        self,
        key: str,
        post: xr.DataTree,
        *,
        evidence: bool,
        refit: bool,
        random_seed: int,
        told: Told | None = None,
    ) -> Assessment:
        """A model's assessment, found here or made and kept."""
        settings = {"evidence": evidence, "refit": refit, "random_seed": random_seed}
        name = (key, *settings.values())
        if name not in self.made or self.made[name][0] is not post:
            self.made[name] = post, self._found_or_made(key, post, settings, told)
        return self.made[name][1]

    def _found_or_made(self, key: str, post: xr.DataTree, settings: dict[str, Any], told: Told | None) -> Assessment:
        asked = self._fingerprint(post, settings)
        path = None if asked is None or self.folder is None else self.folder / _file(key)
        if path is not None and (found := _read(path, str(asked))) is not None:
            return found
        made = assess(post, **settings, told=told)
        if path is not None:
            _write(made, path, str(asked))
        return made

    @staticmethod
    def _fingerprint(post: xr.DataTree, settings: dict[str, Any]) -> str | None:
        """Of everything that decides an assessment; None where the draws do not say what they are the answer to."""
        draws = post.attrs.get("request_fingerprint")
        if draws is None:
            return None
        versions = {library: version(library) for library in _LIBRARIES}
        return hashlib.sha256(json.dumps([draws, settings, versions], sort_keys=True).encode()).hexdigest()


def is_assessment(path: Path) -> bool:
    """Whether a file was written by an `AssessmentStore`."""
    if not (path.is_file() and path.name.startswith("assessment-") and is_zipfile(path)):
        return False
    with ZipFile(path) as opened:
        return {"facts.npy", "fingerprint.npy"} <= set(opened.namelist())


def _file(key: str) -> str:
    return draws_file(key).replace("posterior-", "assessment-").replace(".nc", ".npz")


def _write(assessment: Assessment, path: Path, fingerprint: str) -> None:
    facts = {f.name: getattr(assessment, f.name) for f in fields(assessment) if f.name not in _ARRAYS}
    facts["evidence"] = None if assessment.evidence is None else asdict(assessment.evidence)
    arrays = {name: getattr(assessment, name) for name in _ARRAYS}
    content = BytesIO()
    np.savez(content, facts=np.array(json.dumps(facts)), fingerprint=np.array(fingerprint), **arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, content.getvalue())


def _read(path: Path, fingerprint: str) -> Assessment | None:
    """What was written for the very same question; a file that is damaged is as good as absent."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as saved:
            if str(saved["fingerprint"]) != fingerprint:
                return None
            facts = json.loads(str(saved["facts"]))
            arrays = {name: saved[name] for name in _ARRAYS}
    except (OSError, ValueError, KeyError, BadZipFile):
        return None
    facts["mode_weights"] = tuple(facts["mode_weights"])
    if facts["evidence"] is not None:
        facts["evidence"] = LogEvidence(**{**facts["evidence"], "estimates": tuple(facts["evidence"]["estimates"])})
    return Assessment(**facts, **arrays)
