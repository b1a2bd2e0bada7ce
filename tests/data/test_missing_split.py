"""Data that are split but for one part: who is taken from train, whole or clip by clip."""

import pytest
from make_audio import write_audio
from surveyed import assumed, corpus_of, splits_of, write_classes


def train_and(part, root, labels, names):
    """`names` of every label for training, and of others for `part`."""
    write_classes(root / "train", labels, names)
    write_classes(root / part, labels, [f"other {number}.wav" for number in range(4)])
    return root


@pytest.mark.parametrize(("part", "missing"), [("valid", "test"), ("test", "validation")])
def test_a_missing_split_takes_whole_speakers(tmp_path, part, missing):
    names = [f"speaker-{speaker}_{take}.wav" for speaker in range(20) for take in range(4)]
    root = train_and(part, tmp_path / "data", ("no", "yes"), names)
    decided, told = assumed(root)
    assert decided["split"] == "official" and decided["missing_split_share"] == 0.15
    assert f"20 speakers in the names (such as 'speaker-0'): {missing} takes them whole." in told
    corpus = corpus_of(decided, tmp_path / "cache")
    splits = splits_of(corpus, corpus.group)
    assert all(len(found) == 1 for found in splits.values())
    assert sum(group.startswith("speaker-") for group in splits) == 20
    assert len(corpus.rows(missing)) == 24  # three of them
    decided, told = assumed(root, missing_split_share=0.3)
    assert f"{missing} is missing and takes 30% of train" in told
    assert len(corpus_of(decided, tmp_path / "cache").rows(missing)) == 48


def test_a_missing_split_that_cannot_take_whole_speakers(tmp_path):
    # The class "yes" is said by three speakers only, all of whom stay with train.
    names = [f"spk{speaker}_{take}.wav" for speaker in range(40) for take in range(2)]
    root = write_classes(tmp_path / "train", ("no",), names).parent
    write_classes(
        root / "train", ("yes",), [n for n in names if n[:5] in ("spk0_", "spk1_", "spk2_")]
    )
    write_classes(root / "test", ("no", "yes"), ["x.wav"])
    decided, told = assumed(root)
    assert "group_pattern" not in decided
    assert "clip by clip: 40 speakers in the names (such as 'spk0') cannot be kept apart" in told


def test_a_missing_split_where_nobody_is_known(tmp_path):
    root = train_and("test", tmp_path, ("no", "yes"), [f"{number}.wav" for number in range(20)])
    decided, told = assumed(root)
    assert decided["missing_split_share"] == 0.15
    assert "clip by clip: names show no speaker" in told and "a column group" in told


def test_a_missing_split_and_speakers_in_a_table(tmp_path):
    lines = ["file_name,label,split,group"]
    for number in range(88):
        write_audio(tmp_path / "data" / f"{number}.wav")
        split = "train" if number < 80 else "dev"
        # One clip is of nobody known.
        person = f"person {number // 4}" if number else ""
        lines.append(f"{number}.wav,{('no', 'yes')[number % 2]},{split},{person}")
    (tmp_path / "data" / "metadata.csv").write_text("\n".join(lines))
    decided, told = assumed(tmp_path / "data")
    assert "21 speakers or sources: test takes them whole." in told and "clip by clip" not in told
    corpus = corpus_of(decided, tmp_path / "cache")
    assert len(corpus.rows("test")) in range(9, 16)
    assert all(len(found) == 1 for found in splits_of(corpus, corpus.group).values())
