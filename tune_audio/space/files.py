"""Search spaces as YAML 1.2 files, and changes to them from the command line."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tune_audio.errors import UserError
from tune_audio.space.mistakes import unknown
from tune_audio.space.space import SearchSpace
from tune_audio.space.yaml_text import read_yaml

_ENDINGS = (".yaml", ".yml")
# Where a comma in an override's plain text stands between choices. Elsewhere it is part of the
# text: data.root is a path.
_OF_CHOICES = ("params", "train", "models")


def space_folders() -> list[Path]:
    """Where spaces are looked up by name: search_spaces/ here, then the one that came along.

    That is in the package where it is installed, and beside it in a checkout.
    """
    package = Path(__file__).parents[1]
    return [folder / "search_spaces" for folder in (Path.cwd(), package, package.parent)]


def list_spaces() -> dict[str, Path]:
    """The spaces that can be given by name, and their files."""
    files = [f for folder in space_folders() if folder.is_dir() for f in sorted(folder.iterdir())]
    found: dict[str, Path] = {}
    for file in files:
        if file.suffix in _ENDINGS:
            found.setdefault(file.stem, file)
    return found


def load_space(
    name_or_path: str | Path,
    overrides: Sequence[str | tuple[str, Any]] = (),
    *,
    models: Sequence[str] | None = None,
    checkpoints: Mapping[str, str] | None = None,
    of_run: bool = False,
) -> SearchSpace:
    """Read a space by its name or its file, change it, and check it.

    overrides: "a.b=value" with the value in YAML, or ("a.b", value) with the value as it is.
    Hyperparameters take "a.b=1e-3,1e-4" for a list, too: no shell on the way breaks it.
    models: only these families; what the others need is not imported.
    checkpoints: of some families, instead of what the space says.
    of_run: it is a run's space.yaml, where what an earlier version did not write down means what
    that version did.

    Raises UserError: no such space, no YAML, an override that leads nowhere, or all the mistakes
    in what the space says.
    """
    path = _find(name_or_path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as UTF-8 text ({error})") from None
    raw = read_yaml(text, str(path))
    if of_run:
        _as_meant(raw)
    for override in overrides:
        raw = _apply(raw, override)
        _check_effect(raw, override if isinstance(override, str) else override[0])
    for family, checkpoint in (checkpoints or {}).items():
        known = raw.get("models") if isinstance(raw, Mapping) else None
        if isinstance(known, Mapping) and family not in known:
            problem = unknown("model in this space", family, known)
            raise UserError(f"--checkpoint: {family!r}: {problem}")
        raw = _apply(raw, (f"models.{family}.checkpoint", checkpoint))
    return SearchSpace.from_dict(raw, name=path.stem, models=models)


def _as_meant(raw: Any) -> None:
    retrain = raw.get("retrain") if isinstance(raw, dict) else None
    if isinstance(retrain, dict):
        retrain.setdefault("train_on", "train")


def _find(name_or_path: str | Path) -> Path:
    path = Path(name_or_path).expanduser()
    is_path = isinstance(name_or_path, Path) or path.suffix in _ENDINGS or len(path.parts) > 1
    if is_path:
        if not path.is_file():
            raise UserError(f"{path}: no such file; give a YAML file or the name of a space")
        return path
    known = list_spaces()
    if str(name_or_path) in known:
        return known[str(name_or_path)]
    close = difflib.get_close_matches(str(name_or_path), known, n=1)
    nearest = f"did you mean {close[0]}? " if close else ""
    raise UserError(
        f"no search space is named {name_or_path!r}; {nearest}"
        f"There are: {', '.join(sorted(known)) or 'none'}; or give the path of a YAML file"
    )


def _check_effect(raw: Mapping[str, Any], override: str) -> None:
    """Raises UserError for a change that changes nothing, for every model has its own value.

    So it is in the resolved space of a run, which has all parameters under models.
    """
    section, _, name = override.partition("=")[0].strip().partition(".")
    name = name.partition(".")[0]
    families = raw.get("models")
    if section not in ("train", "params") or not isinstance(families, Mapping) or not families:
        return
    params = raw.get("params") if section == "train" else None
    own = [f for f, given in families.items() if isinstance(given, Mapping) and name in given]
    if isinstance(params, Mapping) and name in params:
        better = f"params.{name}, which goes before it"
    elif len(own) == len(families):
        better = " and ".join(f"models.{family}.{name}" for family in own)
    else:
        return
    raise UserError(f"--set {section}.{name}: would change nothing; set {better}")


def _read_value(dotted: str, text: str) -> Any:
    """The value of an override. YAML's quotes, brackets and braces keep commas what YAML says."""
    where = f"--set {dotted}"
    value = read_yaml(text, where)
    is_plain = isinstance(value, str) and value == text.strip()
    if not is_plain or "," not in value or dotted.strip().partition(".")[0] not in _OF_CHOICES:
        return value
    parts = value.split(",")
    if not all(part.strip() for part in parts):
        raise UserError(f"{where}: got {value!r}, with nothing on one side of a comma")
    return [read_yaml(part, where) for part in parts]


def _apply(raw: Any, override: str | tuple[str, Any]) -> Any:
    """Set what is at a dotted path; mappings on the way to it are made where there are none."""
    if isinstance(override, str):
        dotted, equals, text = override.partition("=")
        if not equals:
            raise UserError(f"--set {override}: no '='; write --set a.b=value")
        value = _read_value(dotted, text)
    else:
        dotted, value = override
    keys = dotted.strip().split(".")
    if not all(keys):
        raise UserError(f"--set {dotted}: an empty name; write --set a.b=value")
    raw = {} if raw is None else raw
    place = raw
    for depth, key in enumerate(keys):
        if not isinstance(place, dict):
            at = ".".join(keys[:depth])
            raise UserError(f"--set {dotted}: {at} is {place!r}, which has no names below it")
        if depth < len(keys) - 1:
            place[key] = {} if place.get(key) is None else place[key]
            place = place[key]
    place[keys[-1]] = value
    return raw
