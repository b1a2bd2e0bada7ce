"""Which saved model is meant by a folder, or by RUN/FAMILY."""

from pathlib import Path

from tune_audio.errors import UserError
from tune_audio.reporting.ranking import Ranking
from tune_audio.run_folder import RunFolder
from tune_audio.space import load_space
from tune_audio.training.metrics import direction


def find_model(runs: Path, name: str) -> Path:
    """A model's own folder, or RUN/FAMILY: that family's retrained model, the best by validation.

    Models of all labels (retrain/) go before those of the search's own (retrain-same/). Raises
    UserError.
    """
    for folder in (Path(name), Path(name, "model")):
        if (folder / "config.json").is_file():
            return folder
    run_name, _, family = name.rstrip("/").rpartition("/")
    try:
        run = RunFolder.find(runs, run_name or family)
    except UserError as error:
        raise UserError(
            f"MODEL: {name} is no folder with a config.json, and as RUN/FAMILY: {error.message}"
        ) from None
    models: dict[str, list[Path]] = {}
    for study in ("retrain", "retrain-same"):
        for config in sorted(run.path.glob(f"{study}/*/model/config.json")):
            found = models.setdefault(config.parents[1].name.rpartition("-")[0], [])
            if not found or found[0].parents[1].name == study:
                found.append(config.parent)
    if not run_name or family not in models:
        known = ", ".join(f"{run.name}/{known}" for known in models) or "none, nothing is retrained"
        raise UserError(f"MODEL: got {name!r}; the models of this run are: {known}.")
    return models[family][0] if len(models[family]) == 1 else _best(run, family, models[family])


def _best(run: RunFolder, family: str, models: list[Path]) -> Path:
    from tune_audio.tuning.family_study import Plan
    from tune_audio.tuning.storage import Storage

    space = load_space(run.space, models=[family])
    search = space.search.model_copy(update={"scheduler": "none", "sampler": "grid", "folds": None})
    study, plans = models[0].parents[1].name, [Plan(space.families[family])]
    records = Storage(run.database, plans, search, epochs=None, study=study).records()
    by_key = {model.parent.name: model for model in models}
    ranked = Ranking(records, search.metric, direction(search.metric)).order
    for record in [*ranked, *records]:  # those that nothing validated are in the search's order
        if record.key in by_key:
            return by_key[record.key]
    raise UserError(f"{run.database}: has no result of {family}; give a model's own folder.")
