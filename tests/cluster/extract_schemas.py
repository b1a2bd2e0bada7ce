"""Writes the schemas beside this file: what KubeRay and Google's Compute Engine take.

    git clone --depth 1 --branch v1.6.0 https://github.com/ray-project/kuberay
    pip install --target discovery google-api-python-client==2.202.0
    python tests/cluster/extract_schemas.py kuberay discovery

Both are whole as far as they go (nothing that our manifests do not use today is cut away), without
the descriptions, which are most of their size.
"""

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
CRD = "ray-operator/config/crd/bases/ray.io_rayjobs.yaml"
COMPUTE = "googleapiclient/discovery_cache/documents/compute.v1.json"


def rayjob(kuberay: Path) -> dict[str, Any]:
    """The schema of a RayJob, version v1, in KubeRay's custom resource definition."""
    definition = yaml.safe_load((kuberay / CRD).read_text())
    version = next(v for v in definition["spec"]["versions"] if v["name"] == "v1")
    return without_descriptions(version["schema"]["openAPIV3Schema"])


def instance(packages: Path) -> dict[str, Any]:
    """JSON schema of Compute Engine's resource Instance and of all that it refers to."""
    schemas = json.loads((packages / COMPUTE).read_text())["schemas"]
    needed, found = ["Instance"], {}
    while needed:
        name = needed.pop()
        if name not in found:
            found[name] = as_json_schema(schemas[name])
            needed += references(found[name])
    return {"$ref": "#/$defs/Instance", "$defs": found}


def as_json_schema(schema: Any) -> Any:
    """Google's dialect: references by bare names, and 64-bit integers that are texts."""
    if isinstance(schema, list):
        return [as_json_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return {"$ref": f"#/$defs/{schema['$ref']}"}
    kept = {}
    for key in ("type", "enum", "items", "properties", "additionalProperties"):
        if key == "properties" and key in schema:
            kept[key] = {name: as_json_schema(part) for name, part in schema[key].items()}
        elif key in schema:
            kept[key] = as_json_schema(schema[key])
    if schema.get("format") in ("int64", "uint64"):
        kept["type"] = ["string", "integer"]
    if "properties" in kept:
        kept["additionalProperties"] = False
    return kept


def references(schema: Any) -> list[str]:
    if isinstance(schema, list):
        return [name for item in schema for name in references(item)]
    if not isinstance(schema, dict):
        return []
    if "$ref" in schema:
        return [schema["$ref"].removeprefix("#/$defs/")]
    return [name for part in schema.values() for name in references(part)]


def without_descriptions(schema: Any) -> Any:
    if isinstance(schema, list):
        return [without_descriptions(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: without_descriptions(part)
        for key, part in schema.items()
        if not (key == "description" and isinstance(part, str))
    }


def write(schema: dict[str, Any], name: str) -> None:
    text = json.dumps(schema, sort_keys=True, separators=(",", ":"))
    (HERE / name).write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    write(rayjob(Path(sys.argv[1])), "rayjob.schema.json.gz")
    write(instance(Path(sys.argv[2])), "instance.schema.json.gz")
