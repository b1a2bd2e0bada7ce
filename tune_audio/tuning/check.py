"""What is wrong with a space for these recordings, found before Ray starts."""

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tune_audio.data.corpus import Corpus
from tune_audio.errors import UserError
from tune_audio.models import build_model
from tune_audio.space import Family, Search, SearchSpace
from tune_audio.training.metrics import check_metric
from tune_audio.training.train_params import TrainParams
from tune_audio.tuning.samplers import kinds_of_configurations

if TYPE_CHECKING:
    from torch import nn


def check_models(space: SearchSpace, corpus: Corpus) -> None:
    """Find what is wrong with a family before Ray starts, by building its kinds of models.

    Raises UserError, with all families' mistakes: a checkpoint that cannot be had, an augmentation
    or loss that is not for this model or this data, a metric or folds that this data set has not.
    """
    from tune_audio.training.folds import assign_folds  # these two know torch
    from tune_audio.training.learner import check_configuration

    check_metric(space.search.metric.removeprefix("val/"), multi_label=corpus.multi_label)
    if folds := space.search.fold_count:
        assign_folds(corpus, folds)
    mistakes = []
    for family in space.families.values():
        for i, (keywords, trainings) in enumerate(_by_model(family, space.search)):
            try:
                model = build_model(family.model, *corpus.form, **keywords)
                if i == 0:
                    _check_clips(model, corpus)
                for params in trainings:
                    check_configuration(model, params, corpus)
            except UserError as error:
                mistakes.append(f"models.{family.name}: {error.message}")
    if mistakes:
        raise UserError("\n  ".join(dict.fromkeys(mistakes)))


def _check_clips(model: "nn.Sequential", corpus: Corpus) -> None:
    """UserError where clips are too short, or else not what the model's layers can take."""
    import torch

    try:
        with torch.inference_mode():
            model.eval()(torch.zeros(1, corpus.clip_samples))
    except (RuntimeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        seconds = corpus.clip_samples / corpus.sample_rate
        raise UserError(
            f"data.clip_seconds: got {seconds:g}, with which it does not run ({reason}); longer "
            "clips may help"
        ) from error


def _by_model(family: Family, search: Search) -> Iterator[tuple[dict[str, Any], list[TrainParams]]]:
    """The models of a family, and what each may be trained with; see `kinds_of_configurations`."""
    pairs = [family.split(c) for c in kinds_of_configurations(family, search.sampler)]
    pairs.sort(key=lambda pair: repr(pair[1]))
    for _, alike in itertools.groupby(pairs, key=lambda pair: repr(pair[1])):
        trainings, (keywords, *_) = zip(*alike, strict=True)
        yield keywords, list(trainings)
