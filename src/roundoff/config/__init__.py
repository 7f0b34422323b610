"""The configuration of a run: typed, checked, and explained where it is wrong."""

from roundoff.config.load import load_config, require_weights
from roundoff.config.models import Config
from roundoff.config.subjects import resolve_subjects

__all__ = ["Config", "load_config", "require_weights", "resolve_subjects"]
