"""cluster/: what Ray, the clouds and Kubernetes will take, and what each file promises."""

import tomllib
from typing import Any

import pytest
from manifests import CLUSTER, KUBERNETES, RAY, ROOT, complaints, keys, read, start_options

OURS = {"OMP_WAIT_POLICY=passive", "THP_MEM_ALLOC_ENABLE=1"}
SPOT = ("available_node_types", "gpu_spot", "node_config")
CLUSTER_SPEC = ("spec", "rayClusterSpec")
# Whose keys are names of our own, so that none can be misspelt.
OF_OUR_OWN = {
    **{name: {"available_node_types", "resources", "labels", "file_mounts"} for name in RAY},
    **{name: {"limits", "requests"} for name in KUBERNETES},
}


def at(place: Any, *path: Any) -> Any:
    for step in path:
        place = place[step]
    return place


@pytest.mark.parametrize("name", RAY + KUBERNETES)
def test_it_will_be_taken(name: str):
    assert complaints(name, read(name)) == []


@pytest.mark.parametrize("name", RAY + KUBERNETES)
def test_a_misspelt_key_is_found_wherever_it_is(name: str):
    missed = []
    for path in keys(read(name)):
        if len(path) > 1 and path[-2] in OF_OUR_OWN[name]:
            continue
        documents = read(name)
        place = at(documents, *path[:-1])
        place[f"{path[-1]}x"] = place.pop(path[-1])
        if not complaints(name, documents):
            missed.append(path)
    assert missed == []


@pytest.mark.parametrize(
    ("name", "path", "value", "complaint"),
    [
        ("aws.yaml", ("head_node_type",), "hed", "must be one of `available_node_types`"),
        ("aws.yaml", (*SPOT, "InstanceType"), "g6.2xlrge", "not one of EC2's"),
        ("aws.yaml", (*SPOT, "InstanceMarketOptions", "MarketType"), "sport", "not one of EC2's"),
        ("aws.yaml", (*SPOT, "BlockDeviceMappings", 0, "Ebs", "VolumeSize"), "200", "VolumeSize"),
        ("aws.yaml", ("available_node_types", "gpu_spot", "min_workers"), 9, "is smaller than the"),
        ("gcp.yaml", (*SPOT, "scheduling"), [{"preemptible": True}], "not of type 'object'"),
        ("gcp.yaml", (*SPOT, "scheduling", "provisioningModel"), "SPOTTY", "is not one of"),
        ("onprem.yaml", ("provider", "type"), "lokal", "Unsupported node provider"),
        ("onprem.yaml", ("file_mounts", "~/x"), "no_such_folder", "there is no no_such_folder"),
        ("onprem.yaml", ("worker_start_ray_commands", 1), "ray start --num-cpu=1", "no --num-cpu"),
        ("kuberay.yaml", (*CLUSTER_SPEC, "authOptions", "mode"), "tokens", "is not one of"),
        ("kuberay.yaml", (*CLUSTER_SPEC, "workerGroupSpecs", 0, "maxReplicas"), "8", "'integer'"),
        ("kuberay.yaml", (*CLUSTER_SPEC, "headGroupSpec", "rayStartParams", "cpus"), "0", "no --"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_found(name: str, path: tuple, value: object, complaint: str):
    documents = read(name)
    at(documents[0], *path[:-1])[path[-1]] = value
    assert complaint in "\n".join(complaints(name, documents))


def test_the_one_to_start_with_is_the_one_without_an_account():
    assert (CLUSTER / "cluster.yaml").readlink().name == "onprem.yaml"


@pytest.mark.parametrize("name", RAY)
def test_every_ray_asks_for_the_token_and_its_workers_inherit_our_settings(name: str):
    (config,) = read(name)
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert any("export RAY_AUTH_MODE=token PATH=" in line for line in config["setup_commands"])
    for part in ("head_start_ray_commands", "worker_start_ray_commands"):
        *_, start = config[part]
        settings, options = start.partition("ray start ")[0].split(), start_options(start)
        assert {"RAY_AUTH_MODE=token", *OURS} <= set(settings), part
        assert "--disable-usage-stats" in options
    assert "--include-dashboard=false" in config["head_start_ray_commands"][1]


def test_the_pods_ask_for_the_token_and_their_workers_inherit_our_settings():
    (job,) = read("kuberay.yaml")
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["headGroupSpec"]["rayStartParams"]["disable-usage-stats"] == "true"
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        (container,) = group["template"]["spec"]["containers"]
        variables = {f"{variable['name']}={variable['value']}" for variable in container["env"]}
        assert variables >= OURS


@pytest.mark.parametrize("name", ["aws.yaml", "gcp.yaml"])
def test_a_cloud_works_on_spot_machines_first_and_never_on_the_head(name: str):
    (config,) = read(name)
    head, spot, on_demand = config["available_node_types"].values()
    assert head["resources"] == {"CPU": 0}
    assert spot["priority"] > on_demand["priority"]
    assert spot["min_workers"] == on_demand["min_workers"] == 0
    assert spot["resources"] == on_demand["resources"]  # the rest being equal, priority decides
    assert max(spot["max_workers"], on_demand["max_workers"]) <= config["max_workers"]
    assert "SPOT" in str(spot["node_config"]).upper()
    assert "SPOT" not in str([head["node_config"], on_demand["node_config"]]).upper()


@pytest.mark.parametrize("name", RAY)
def test_machines_are_given_what_the_install_needs(name: str):
    (config,) = read(name)
    (install,) = [line for line in config["setup_commands"] if "make install" in line]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = install.partition("EXTRAS=")[2].split(",")
    assert set(wanted) <= set(project["optional-dependencies"])
    mounted = {local for local in config["file_mounts"].values() if not local.startswith("~")}
    assert mounted == {"tune_audio", "search_spaces", "pyproject.toml", "Makefile"} | {
        project["readme"],
        *project["license-files"],
    }
