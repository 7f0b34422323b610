"""The configuration of a run: typed, checked, and explained where it is wrong."""

from roundoff.config.load import load_config, resolve_subjects
from roundoff.config.models import Config

__all__ = ["Config", "load_config", "resolve_subjects"]
