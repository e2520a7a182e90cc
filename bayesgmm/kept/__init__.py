"""A fitted model is a file: saved, loaded in another process, and used to score new rows."""

from .files import load_model, save_model
from .model import KeptFit, KeptPosterior, Scores

__all__ = ["KeptFit", "KeptPosterior", "Scores", "load_model", "save_model"]
