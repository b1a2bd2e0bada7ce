"""What is wrong with a file of cluster/, found without a cluster, an account or a network."""

import copy
import gzip
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import jsonschema
import ray.autoscaler
import yaml
from botocore.validate import ParamValidator
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.scripts.scripts import start as ray_start

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "cluster"
SCHEMAS = ROOT / "tests" / "cluster"
RAY = ("onprem.yaml", "aws.yaml", "gcp.yaml")  # for `ray up`
KUBERNETES = ("kuberay.yaml", "kuberay-files.yaml")


def read(name: str) -> list[dict[str, Any]]:
    """The documents of a manifest."""
    return list(yaml.safe_load_all((CLUSTER / name).read_text()))


def complaints(name: str, documents: list[dict[str, Any]]) -> list[str]:
    """What Ray, the cloud or Kubernetes would not take in these documents of the file `name`."""
    if name in KUBERNETES:
        return [found for document in documents for found in _of_kubernetes(document)]
    (config,) = documents
    found = list(_of_ray(config)) + list(_of_commands(config))
    types = config.get("available_node_types", {})
    nodes = [kind.get("node_config", {}) for kind in types.values()]
    check = {"aws.yaml": _of_aws, "gcp.yaml": _of_gcp}.get(name, lambda node: [])
    return found + [complaint for node in nodes for complaint in check(node)]


def _of_ray(config: dict[str, Any]) -> Iterator[str]:
    try:
        prepared = prepare_config(copy.deepcopy(config))
        validate_config(prepared)
    except Exception as error:  # of many kinds, some without a base of their own
        yield f"{type(error).__name__}: {error}"
        return
    schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
    # Open in Ray's schema, which lists the keys nevertheless.
    schema["properties"]["provider"]["additionalProperties"] = False
    yield from _against(schema, prepared)
    for local in config.get("file_mounts", {}).values():
        if not local.startswith("~") and not (ROOT / local).exists():
            yield f"file_mounts: there is no {local}"


def start_options(command: str) -> list[str]:
    """The options of `ray start` in a shell command."""
    words = command.partition("ray start ")[2].split()
    return [word.partition("=")[0] for word in words if word.startswith("--")]


@cache
def known_options() -> set[str]:
    return {option for parameter in ray_start.params for option in parameter.opts}


def _of_commands(config: Mapping[str, Any]) -> Iterator[str]:
    for part in ("head_start_ray_commands", "worker_start_ray_commands"):
        for command in config.get(part, []):
            for option in start_options(command):
                if option not in known_options():
                    yield f"{part}: ray start has no {option}"


def _of_aws(node: dict[str, Any]) -> Iterator[str]:
    """Against what boto3 sends as RunInstances, and the names that EC2 lists there."""
    shape = _run_instances()
    report = ParamValidator().validate({**node, "MinCount": 1, "MaxCount": 1}, shape)
    if report.has_errors():
        yield report.generate_report()
    else:
        yield from _unlisted(node, shape, "node_config")


@cache
def _run_instances() -> Any:
    model = botocore.session.get_session().get_service_model("ec2")
    return model.operation_model("RunInstances").input_shape


def _unlisted(value: Any, shape: Any, where: str) -> Iterator[str]:
    if shape.type_name == "structure":
        for key, part in value.items():
            yield from _unlisted(part, shape.members[key], f"{where}.{key}")
    elif shape.type_name == "list":
        for part in value:
            yield from _unlisted(part, shape.member, f"{where}[]")
    elif getattr(shape, "enum", None) and value not in shape.enum:
        yield f"{where}: {value!r} is not one of EC2's"


def _of_gcp(node: dict[str, Any]) -> Iterator[str]:
    yield from _against(_schema("instance"), node)


def _of_kubernetes(document: dict[str, Any]) -> Iterator[str]:
    schema = _kubernetes().get(document.get("kind", ""))
    if schema is None:
        yield f"kind: {document.get('kind')}"
        return
    yield from _against(schema, document)
    cluster = document.get("spec", {}).get("rayClusterSpec", {})
    groups = [cluster.get("headGroupSpec", {}), *cluster.get("workerGroupSpecs", [])]
    for option in (name for group in groups for name in group.get("rayStartParams", {})):
        if f"--{option}" not in known_options():
            yield f"rayStartParams: ray start has no --{option}"


@cache
def _kubernetes() -> dict[str, dict[str, Any]]:
    """Kind -> schema. A job's schema holds those of pods and of claims."""
    spec = _closed(_schema("rayjob"))["properties"]["spec"]
    pod = _within(spec, "rayClusterSpec", "headGroupSpec", "template", "spec")
    volume = _within(pod, "volumes")["items"]
    claim = _within(volume, "ephemeral", "volumeClaimTemplate", "spec")
    metadata = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    return {
        kind: _closed(
            {
                "properties": {
                    "apiVersion": {"const": version},
                    "kind": {"const": kind},
                    "metadata": metadata,
                    "spec": schema,
                },
                "required": ["apiVersion", "kind", "metadata", "spec"],
            }
        )
        for kind, version, schema in (
            ("RayJob", "ray.io/v1", spec),
            ("Pod", "v1", pod),
            ("PersistentVolumeClaim", "v1", claim),
        )
    }


def _within(schema: dict[str, Any], *names: str) -> dict[str, Any]:
    for name in names:
        schema = schema["properties"][name]
    return schema


@cache
def _schema(name: str) -> dict[str, Any]:
    return json.loads(gzip.decompress((SCHEMAS / f"{name}.schema.json.gz").read_bytes()))


def _closed(schema: Any) -> Any:
    """The schema with every object closed that lists its keys: a key it does not know is wrong."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(part) for key, part in schema.items()}
    if isinstance(schema.get("properties"), dict):
        closed.setdefault("additionalProperties", False)
    return closed


def _against(schema: dict[str, Any], value: Any) -> Iterator[str]:
    for error in jsonschema.Draft202012Validator(schema).iter_errors(value):
        where = ".".join(map(str, error.absolute_path))
        yield f"{where}: {error.message}"


def keys(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every key of every mapping in it."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield (*path, key)
            yield from keys(part, (*path, key))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from keys(part, (*path, index))
