"""Every mistake in a space is told: where, what was given, what is allowed."""

import pytest

from tune_audio.errors import UserError


def test_wrong_conditions(complaint):
    circle = (
        "momentum: {choices: [0.8], when: {lr: 0.1}}, lr: {choices: [0.1], when: {momentum: 0.8}}"
    )
    assert "circle" in complaint(f"params: {{{circle}}}")
    assert "did you mean optimizer?" in complaint(
        "params: {momentum: {choices: [0.8], when: {optimiser: sgd}}}"
    )
    assert "did you mean sgd?" in complaint(
        "params: {momentum: {choices: [0.8], when: {optimizer: sdg}}}"
    )


def test_all_mistakes_are_told_at_once(complaint):
    message = complaint(
        """
    dta: 1
    data: {name: tones, labels: [yes, 1], clips_per_label: -3, split: [0.7, 0.2, 0.2], octve: 3}
    train: {epochs: [5, 10], optimiser: adam, lr: {low: 1, high: 0.1}}
    search: {sampler: grid, trials: 3, metric: val/acuracy, grace_epochs: 0}
    params: {lr: [abc, "1e-3", true, .inf], batch_size: [0, 1.5], augment: [noize], seed: []}
    models:
      tiny: {hiden_size: 3, dropout: {low: 0, hihg: 1}, width: {low: 1, high: 4}, epochs: 3}
      other: {model: tinny, resources: {gpu: 1}}
    retrain: {labels: some, top: 0}
    """,
    )
    for expected in [
        "dta: no such section; did you mean data?",
        "data.labels[1]: got 1, must be text; write '1' in quotes",
        "data.clips_per_label: got -3, must be greater",
        "data.split: got [0.7, 0.2, 0.2], sum 1.1; must be three fractions that sum to 1",
        "data.octve: no such key; did you mean octave?",
        "train.epochs: got [5, 10], must be one whole number",
        "train.optimiser: no such training parameter; did you mean optimizer?",
        "train.lr: got low: 1.0, high: 0.1; low must be less than high",
        "search.metric: no such metric; did you mean val/accuracy?",
        "search.grace_epochs: got 0, must be greater than or equal to 1",
        "params.lr[0]: got 'abc', must be a number",
        "params.lr[1]: got '1e-3', must be a number",
        "params.lr[2]: got True, must be a number",
        "params.lr[3]: got inf, must be finite",
        "params.batch_size[0]: got 0, must be greater than or equal to 1",
        "params.batch_size[1]: got 1.5, must be a whole number",
        "params.augment[0]: got 'noize', no such augmentation: 'noize'; did you mean noise?",
        "params.seed: got [], must be a list of at least one choice",
        "models.tiny.hiden_size: no such parameter of tiny; did you mean hidden_size?",
        "models.tiny.dropout.hihg: no such key of a domain; did you mean high?",
        "models.tiny.width: got 3, must be 1, 2 or 4; give a list of choices",
        "models.tiny.epochs: epochs are the same",
        "models.other.model: no such model; did you mean tiny?",
        "models.other.resources.gpu: no such key; did you mean gpus?",
        "retrain.labels: got 'some', must be 'all' or 'same'; did you mean same?",
        "retrain.top: got 0, must be greater than or equal to 1",
    ]:
        assert f"\n  - {expected}" in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("models: {}", "models: is empty"),
        ("search: {sampler: grid, trials: 3}", "search.trials: got 3 with sampler: grid"),
        ("search: {sampler: tpe}", "search.trials: is missing"),
        ("search: {sampler: cmaes, trials: 3}", "sampler: cmaes needs two"),
        ("data: {name: tone}", "data.name: no such data set; did you mean tones?"),
        ("data: {name: tones, kind: sin}", "data.kind: got 'sin', must be 'sine' or 'square'"),
        ("data: {name: tones, labels: [a, b, a]}", "data.labels: got 'a' more than once"),
        ("data: {name: tones, labels: none}", "data.labels: got 'none', must be a list or 'all'"),
        ("data: {name: tones, split: [0.5, 0.5]}", "must be three fractions that sum to 1"),
        ("params: {lr: {low: 0, high: 1, log: true}}", "params.lr.low: got 0, must be greater"),
        ("params: {dropout: {low: 0, high: 0.5, log: true}}", "low must be greater than 0"),
        ("params: {dropout: {low: 0.5, high: 1.0}}", "params.dropout.high: got 1.0, must be less"),
        ("params: {dropout: {low: 0}}", "params.dropout.high: is missing"),
        ("params: {dropout: {low: 0, high: 0.5, step: 0.2}}", "does not lead from 0.0 to 0.5"),
        (
            "params: {augment: {low: a, high: b}}",
            "params.augment.low: got 'a', no such augmentation",
        ),
        ("params: {lr: [1e-3, 0.001]}", "params.lr[1]: got 0.001 for the second time"),
        ("params: {lr: null}", "params.lr: got null, must be a number"),
        ("params: {lr: None}", "params.lr: got 'None', must be a number"),
        ("params: {lr: [[1e-3]]}", "params.lr[0]: got [0.001], must be one number or text"),
        ("params: {checkpoint: x}", "params.checkpoint: no such parameter"),
        ("train: 5", "train: got 5, must be a mapping"),
        ("name: a/b", "name: got 'a/b', must be text without slashes"),
        ("models: {a/b: {model: tiny}}", "models.a/b: names folders"),
        ("params: {width: 2}\nmodels: {tiny: {}, lstm_cnn: {}}", "write it under models.tiny"),
    ],
)
def test_single_mistakes(text, expected, complaint):
    assert expected in complaint(text)


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("params: {lr: 1,\n  lr: 2}", 2, 'duplicate key "lr"'),
        ("params:\n  lr: [1, 2\nseed: 3", 3, "expected"),
        ("params: {lr: !!python/object/apply:os.getcwd []}", 1, "tag"),
        ("params:\n  lr: \x01", 2, "character"),
    ],
)
def test_a_file_that_is_no_yaml_is_one_line_with_its_number(text, line, problem, complaint):
    message = complaint(text)
    assert f"mine.yaml, line {line}: " in message and problem in message
    assert "\n" not in message


def test_overrides_that_would_change_nothing(complaint, load):
    own = "models: {tiny: {lr: 1e-3}, other: {model: tiny, lr: 1e-2}}"
    told = complaint(own, "params.lr=[1e-4]")
    assert "--set params.lr: would change nothing; set models.tiny.lr and models.other.lr" in told
    assert "set params.lr, which" in complaint("params: {lr: 1e-3}", "train.lr=1e-4")
    some = load("models: {tiny: {lr: 1e-3}, other: {model: tiny}}", "params.lr=1e-4")
    assert some.families["other"].grid()[0]["lr"] == 1e-4


def test_a_checkpoint_is_for_a_family_of_the_space(load):
    with pytest.raises(UserError, match=r"--checkpoint: .*'tny'.*did you mean tiny"):
        load("", checkpoints={"tny": "compact"})


def test_wrong_overrides(complaint):
    assert "train.epochs is 2, which has no names below it" in complaint("", "train.epochs.most=3")
    assert "no '='" in complaint("", "train.epochs")
    assert "--set params.lr, line 1" in complaint("", "params.lr=[1")
    assert "did you mean params?" in complaint("", "param.lr=1")
    for empty in ("1e-3,", "1e-3,,1e-4", "1e-3, ,1e-4"):
        assert "nothing on one side of a comma" in complaint("", f"params.lr={empty}")
    assert "got [1, 2], must be one whole number" in complaint("", "train.epochs=1,2")
