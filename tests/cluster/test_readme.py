"""What cluster/ tells people to type: commands, options, files and names that are there."""

import re
from collections.abc import Iterator
from pkgutil import resolve_name

import click
import pytest
from manifests import CLUSTER, ROOT
from ray.scripts.scripts import cli as ray

from tune_audio.__main__ import COMMANDS
from tune_audio.space import load_space

TEXTS = {path.name: path.read_text() for path in CLUSTER.iterdir() if not path.is_symlink()}
EVERYTHING = "\n".join(TEXTS.values())
# Of programs that are not installed here.
OF_OTHERS = {
    "aws": {"--query", "--output", "--region", "--name"},
    "docker": {"--build-arg"},
    "mlflow": {"--workers", "--port"},
    "slurm": {"--nodes", "--ntasks-per-node", "--cpus-per-task", "--gpus-per-node", "--mem"}
    | {"--job-name", "--time", "--signal", "--requeue", "--partition"}
    | {"--ntasks", "--exclude", "--kill-on-bad-exit", "--batch"},
}


def options(command: click.Command) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts}


def of_tune_audio() -> set[str]:
    return {o for name in COMMANDS for o in options(resolve_name(f"tune_audio.{name}:{name}"))}


def typed(program: str) -> Iterator[tuple[str, str]]:
    """(what follows `program` and a word, that word) wherever it is told to be typed."""
    start = r"(?:^(?:#     |    )|`|'|\(|; )"
    for found in re.finditer(rf"{start}{program} ([a-z-]+)\b([^'`\n]*)", EVERYTHING, re.MULTILINE):
        yield found[1], found[2].partition(" #")[0]


def test_commands_of_ray_and_their_options():
    told = list(typed("ray"))
    assert {"up", "down", "submit", "exec", "rsync-up", "rsync-down", "monitor"} <= dict(
        told
    ).keys()
    for name, rest in told:
        assert name in ray.commands, name
        own = rest.partition(".yaml")[0]  # of submit and exec; what follows is for another command
        given = set(re.findall(r"(?<= )--?[a-z-]+", own))
        assert given <= options(ray.commands[name]) | {"-p"}, (name, rest)
    assert "-p" in options(ray.commands["exec"])


def test_commands_of_tune_audio():
    assert {name for name, _ in typed("tune-audio")} <= set(COMMANDS)


def test_every_option_is_somebody_s():
    known = of_tune_audio() | set().union(*OF_OTHERS.values())
    known = known.union(*(options(command) for command in ray.commands.values()))
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z_-]+", EVERYTHING)) - known == set()


def test_searches_that_are_told_can_be_loaded():
    assert set(re.findall(r"--space ([a-z]\w*)", EVERYTHING)) == {"own", "speech4"}
    load_space("own")
    changes = set(re.findall(r"--set ([\w.]+=[^\s`*,]+(?:,[^\s`*,]+)*)", EVERYTHING))
    assert {change.partition("=")[0] for change in changes} == {
        "search.gpus_per_trial",
        "params.lr",
    }
    load_space("speech4", sorted(changes))


def test_files_that_are_told_of_exist():
    for name in set(
        re.findall(r"(?<!~/)(?:cluster|tune_audio)/[\w.-]+\.(?:yaml|sh|py|md)", EVERYTHING)
    ):
        assert (ROOT / name).exists(), name
    for name in set(re.findall(r"(?<![\w/~-])[a-z-]+\.(?:yaml|sh)\b", EVERYTHING)):
        assert (CLUSTER / name).exists(), name


def test_arguments_of_the_image_and_of_make():
    arguments = re.findall(r"^ARG (\w+)=", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert set(re.findall(r"--build-arg (\w+)=", EVERYTHING)) <= set(arguments)
    variables = re.findall(r"^(\w+) \?=", (ROOT / "Makefile").read_text(), re.MULTILINE)
    told = re.findall(r"make install((?: \w+=\S+)+)", EVERYTHING)
    assert told and {name for more in told for name in re.findall(r" (\w+)=", more)} <= set(
        variables
    )


@pytest.mark.parametrize("name", ["onprem.yaml", "aws.yaml", "gcp.yaml", "kuberay.yaml"])
def test_three_lines_are_to_be_edited(name: str):
    assert re.findall(r"EDIT (\d)", TEXTS[name]) == ["1", "2", "3"]


def test_links_within_the_readme_lead_somewhere():
    headings = re.findall(r"^## (.*)$", TEXTS["README.md"], re.MULTILINE)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([\w-]+)\)", TEXTS["README.md"])) <= anchors
