"""cluster/aws.yaml as Ray launches it, against moto's EC2: what machines there would be."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from manifests import read
from moto import mock_aws
from ray.autoscaler._private.aws import config as ray_aws
from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
from ray.autoscaler._private.util import prepare_config
from ray.autoscaler.tags import TAG_RAY_NODE_KIND, TAG_RAY_USER_NODE_TYPE

REGION = "us-west-2"


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """The config as Ray completes it, and a machine of each type, as EC2 describes them."""
    patch = pytest.MonkeyPatch()
    patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))  # the key that Ray makes
    patch.setenv("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
    patch.setattr(ray_aws.time, "sleep", lambda seconds: None)  # for roles to spread in AWS
    with mock_aws():
        (config,) = read("aws.yaml")
        given = {name: kind["resources"] for name, kind in config["available_node_types"].items()}
        config = AWSNodeProvider.bootstrap_config(prepare_config(config))
        for kind in config["available_node_types"].values():
            kind["resources"] = {}
        detected = AWSNodeProvider.fillout_available_node_types_resources(config)
        provider = AWSNodeProvider(config["provider"], config["cluster_name"])
        for name, kind in config["available_node_types"].items():
            is_head = name == config["head_node_type"]
            tags = {
                TAG_RAY_USER_NODE_TYPE: name,
                TAG_RAY_NODE_KIND: "head" if is_head else "worker",
            }
            node = kind["node_config"] | (config["head_node"] if is_head else {})
            provider.create_node(node, tags, 1)
        yield SimpleNamespace(
            config=config,
            given=given,
            detected={n: k["resources"] for n, k in detected["available_node_types"].items()},
            machines=machines(boto3.client("ec2", REGION)),
            client=boto3.client("ec2", REGION),
        )
    patch.undo()


def machines(client: Any) -> dict[str, dict[str, Any]]:
    found = [m for r in client.describe_instances()["Reservations"] for m in r["Instances"]]
    return {tags(machine)[TAG_RAY_USER_NODE_TYPE]: machine for machine in found}


def tags(machine: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in machine["Tags"]}


def test_types_tags_and_market(launched):
    seen = {
        name: (m["InstanceType"], m.get("InstanceLifecycle"), tags(m)["ray-cluster-name"])
        for name, m in launched.machines.items()
    }
    assert seen == {
        "head": ("m7i.large", None, "tune-audio"),
        "gpu_spot": ("g6.2xlarge", "spot", "tune-audio"),
        "gpu_on_demand": ("g6.2xlarge", None, "tune-audio"),
    }


def test_what_ray_is_told_of_a_machine_is_what_it_has(launched):
    for name in ("gpu_spot", "gpu_on_demand"):
        has = launched.detected[name]
        assert launched.given[name] == {key: has[key] for key in ("CPU", "GPU")}, name
    assert launched.given["head"] == {"CPU": 0}


def test_disks_are_large_and_go_with_their_machines(launched):
    for name, machine in launched.machines.items():
        (attached,) = machine["BlockDeviceMappings"]
        assert attached["Ebs"]["DeleteOnTermination"], name
        (disk,) = launched.client.describe_volumes(VolumeIds=[attached["Ebs"]["VolumeId"]])[
            "Volumes"
        ]
        assert (disk["Size"], disk["VolumeType"]) == (200, "gp3"), name


def test_from_outside_there_is_ssh_alone(launched):
    (group,) = {m["SecurityGroups"][0]["GroupId"] for m in launched.machines.values()}
    (rules,) = launched.client.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    assert rules["GroupName"] == "tune-audio"
    outside = [rule for rule in rules["IpPermissions"] if rule["IpRanges"] or rule["Ipv6Ranges"]]
    assert [(rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) for rule in outside] == [
        ("tcp", 22, 22)
    ]
    inside = [pair for rule in rules["IpPermissions"] for pair in rule["UserIdGroupPairs"]]
    assert [pair["GroupId"] for pair in inside] == [group]


def test_only_the_head_may_start_machines(launched):
    with_role = {name for name, m in launched.machines.items() if m.get("IamInstanceProfile")}
    assert with_role == {"head"}


def test_the_key_is_one_of_its_own_and_zones_are_several(launched):
    assert {m["KeyName"] for m in launched.machines.values()} == {f"ray-autoscaler_{REGION}"}
    for kind in launched.config["available_node_types"].values():
        subnets = launched.client.describe_subnets(SubnetIds=kind["node_config"]["SubnetIds"])
        zones = {subnet["AvailabilityZone"] for subnet in subnets["Subnets"]}
        assert zones == {f"{REGION}{letter}" for letter in "abc"}
