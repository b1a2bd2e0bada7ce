"""The models of a space: what each tunes, bound to the parameters its class really has."""

import dataclasses
import graphlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tune_audio.models import MODELS
from tune_audio.signatures import Parameter
from tune_audio.space.domain_syntax import read_domain
from tune_audio.space.domains import Domain, Fixed
from tune_audio.space.family import Family, decision_order
from tune_audio.space.mistakes import Mistakes, convert, unknown
from tune_audio.space.parameters import model_parameters, train_parameters
from tune_audio.space.sections import Resources, as_mapping, read_section

_NO_HYPERPARAMETERS = ("model", "resources")


@dataclass
class _Draft:
    """A family while its domains are being read. `common` domains are not its own."""

    name: str
    model: str
    own: dict[str, Any]
    resources: Resources
    parameters: dict[str, Parameter]
    domains: dict[str, Domain] = dataclasses.field(default_factory=dict)
    where: dict[str, str] = dataclasses.field(default_factory=dict)
    impossible: dict[str, str] = dataclasses.field(default_factory=dict)

    def finish(self) -> Family:
        resources = self.resources.model_dump(exclude_none=True)
        return Family(self.name, self.model, self.domains, resources)


def read_families(
    models: Mapping[str, Any],
    train: Mapping[str, Any],
    params: Mapping[str, Any],
    mistakes: Mistakes,
    *,
    all_given: bool,
) -> dict[str, Family]:
    """The families of a space; what is more special wins: train < params < models.<family>.

    all_given: no family of the space was left out, so a conditional parameter of `params` that
    none of these can ever have is a mistake.
    """
    drafts = [d for d in (_draft(n, raw, mistakes) for n, raw in models.items()) if d]
    for name in train:
        if name not in train_parameters():
            allowed = ["epochs", *train_parameters()]
            mistakes.add(f"train.{name}", unknown("training parameter", name, allowed))
    for name in params:
        _check_common(name, drafts, mistakes)
    for draft in drafts:
        _read_domains(draft, train, params, mistakes)
        _settle_conditions(draft, mistakes)
    if all_given:
        _check_impossible(drafts, mistakes)
    return {draft.name: draft.finish() for draft in drafts}


def _draft(name: str, raw: Any, mistakes: Mistakes) -> _Draft | None:
    where = f"models.{name}"
    own = as_mapping(raw, where, mistakes)
    if not re.fullmatch(r"[\w-]+", name):
        mistakes.add(where, "names folders; use letters, digits, - and _ only")
    model = own.get("model", name)
    resources = read_section(Resources, own.get("resources"), f"{where}.resources", mistakes)
    if not isinstance(model, str) or model not in MODELS:
        at = f"{where}.model" if "model" in own else where
        mistakes.add(at, unknown("model", model, MODELS))
        return None
    try:
        parameters = model_parameters(model)
    except ValueError as error:
        mistakes.add(where, str(error))
        return None
    for both in parameters.keys() & (train_parameters().keys() | {"epochs", *_NO_HYPERPARAMETERS}):
        mistakes.add(where, f"model {model} calls a parameter {both}, a name that is taken")
    own = {key: value for key, value in own.items() if key not in _NO_HYPERPARAMETERS}
    parameters = train_parameters() | parameters
    return _Draft(name, model, own, resources or Resources(), parameters)


def _check_common(name: str, drafts: list[_Draft], mistakes: Mistakes) -> None:
    """A parameter under `params` is one of every model."""
    where = f"params.{name}"
    if name == "epochs":
        mistakes.add(where, "epochs are the same for all: write train.epochs")
        return
    having = [draft.name for draft in drafts if name in draft.parameters]
    lacking = [draft.name for draft in drafts if name not in draft.parameters]
    if having and lacking:
        better = " and ".join(f"models.{family}" for family in having)
        mistakes.add(where, f"{', '.join(lacking)} has no such parameter; write it under {better}")
    elif lacking:
        shared = [n for n in drafts[0].parameters if all(n in d.parameters for d in drafts)]
        mistakes.add(where, unknown("parameter", name, shared))


def _read_domains(
    draft: _Draft, train: Mapping[str, Any], params: Mapping[str, Any], mistakes: Mistakes
) -> None:
    family = f"models.{draft.name}"
    read: dict[str, Domain | None] = {}
    for section, entries in (("train", train), ("params", params), (family, draft.own)):
        for name, raw in entries.items():
            if name not in draft.parameters:
                continue
            where = draft.where[name] = f"{section}.{name}"
            # What a later section overrides is read, too: its mistakes would wait there.
            read[name] = read_domain(raw, draft.parameters[name].annotation, where, mistakes)
    draft.domains = {name: domain for name, domain in read.items() if domain is not None}
    for name in draft.own:
        if name == "epochs":
            mistakes.add(f"{family}.epochs", "epochs are the same for all: write train.epochs")
        elif name not in draft.parameters:
            allowed = [*_NO_HYPERPARAMETERS, *draft.parameters]
            mistakes.add(f"{family}.{name}", unknown(f"parameter of {draft.model}", name, allowed))
    for name, parameter in draft.parameters.items():
        if parameter.required and name not in read:
            mistakes.add(f"{family}.{name}", f"is missing; {draft.model} has no default for it")


def _settle_conditions(draft: _Draft, mistakes: Mistakes) -> None:
    """Check every `when`; take out what can never hold and conditions that always hold."""
    try:
        order = decision_order(draft.domains)
    except graphlib.CycleError as error:
        circle = " <- ".join(error.args[1])
        mistakes.add(f"models.{draft.name}", f"the conditions go in a circle: {circle}")
        return
    for name in order:
        domain, kept = draft.domains[name], {}
        for other, raw_values in domain.when.items():
            where = f"{draft.where[name]}.when.{other}"
            values = _condition_values(draft, other, raw_values, where, mistakes)
            if values is None:
                continue
            if other in draft.domains:
                possible = [v for v in values if draft.domains[other].contains(v)]
                kept[other] = tuple(possible)
            else:
                possible = _default_if_in(draft, other, values)
            if not possible:
                draft.impossible[name] = where
        if name in draft.impossible:
            del draft.domains[name]
            _report_own(draft, name, mistakes)
        else:
            draft.domains[name] = dataclasses.replace(domain, when=kept)


def _condition_values(
    draft: _Draft, other: str, raw_values: tuple[Any, ...], where: str, mistakes: Mistakes
) -> list[Any] | None:
    if other not in draft.parameters:
        mistakes.add(where, unknown("parameter", other, draft.parameters))
        return None
    values = []
    for raw in raw_values:
        try:
            values.append(convert(raw, draft.parameters[other].annotation))
        except ValueError as error:
            mistakes.add(where, str(error))
    # With mistakes in the other's own domain or in these values there is nothing to compare.
    readable = other in draft.domains or other not in draft.where or other in draft.impossible
    return values if readable and len(values) == len(raw_values) and values else None


def _default_if_in(draft: _Draft, other: str, values: list[Any]) -> list[Any]:
    if other in draft.impossible:
        return []
    default = Fixed(draft.parameters[other].default)
    return [value for value in values if default.contains(value)]


def _report_own(draft: _Draft, name: str, mistakes: Mistakes) -> None:
    if draft.where[name].startswith("models."):
        mistakes.add(draft.impossible[name], _can_never_hold(draft, name))


def _check_impossible(drafts: list[_Draft], mistakes: Mistakes) -> None:
    """A condition under train or params may be idle in a family, but not in all of them."""
    for draft in drafts:
        for name, where in draft.impossible.items():
            sharing = [d for d in drafts if d.where.get(name) == draft.where[name]]
            if all(name in d.impossible for d in sharing):
                mistakes.add(where, _can_never_hold(draft, name))


def _can_never_hold(draft: _Draft, name: str) -> str:
    other = draft.impossible[name].rpartition(".when.")[2]
    if other in draft.domains:
        return f"can never hold: {other} is {draft.domains[other].to_yaml()!r}"
    return f"can never hold: {other} is not tuned"
