"""Search spaces: a YAML file and overrides become a checked, frozen `SearchSpace`."""

from tune_audio.space.family import Family
from tune_audio.space.files import list_spaces, load_space
from tune_audio.space.sections import Retrain, Search
from tune_audio.space.space import SearchSpace

__all__ = ["Family", "Retrain", "Search", "SearchSpace", "list_spaces", "load_space"]
