from collections import Counter

import pytest
from make_audio import make_class_folder, write_audio

from tune_audio.data.datasets.folder import folder
from tune_audio.errors import UserError


def test_a_folder_a_class(tmp_path):
    make_class_folder(tmp_path, {"dog": 3, "cat": 2})
    write_audio(tmp_path / "dog" / "rex" / "x.flac")
    write_audio(tmp_path / "_background_noise_" / "rain.wav")
    (tmp_path / ".git").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "read.txt").touch()
    listing = folder(tmp_path)
    assert listing.labels == ("cat", "dog")
    assert Counter(clip.labels for clip in listing.clips) == {("dog",): 4, ("cat",): 2}
    assert {clip.split for clip in listing.clips} == {None}
    assert [path.name for path in listing.noise] == ["rain.wav"]


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("train", "validation", "test"), ("train", "validation", "test")),
        (("Training", "dev", "testing"), ("train", "validation", "test")),
        (("train", "val", "test"), ("train", "validation", "test")),
    ],
)
def test_splits_above_the_classes(tmp_path, names, splits):
    for name in names:
        make_class_folder(tmp_path / name, {"dog": 2, "cat": 2})
    clips = folder(tmp_path).clips
    found = {clip.path.relative_to(tmp_path).parts[0]: clip.split for clip in clips}
    assert found == dict(zip(names, splits, strict=True))
    assert folder(tmp_path).labels == ("cat", "dog")


def test_a_class_may_be_named_test(tmp_path):
    make_class_folder(tmp_path, {"test": 2, "noise": 2})
    assert folder(tmp_path).labels == ("noise", "test")


def test_classes_beside_splits_are_an_error(tmp_path):
    for name in ("train", "test", "extra"):
        make_class_folder(tmp_path / name, {"dog": 1, "cat": 1})
    with pytest.raises(UserError, match="extra beside te"):
        folder(tmp_path)


def test_metadata(tmp_path):
    for name in ("a.wav", "deep/b.wav", "c.wav"):
        write_audio(tmp_path / name)
    (tmp_path / "metadata.csv").write_text(
        "\ufefffile_name, label,split,group\n"
        'a.wav,"dog, small",train,ann\ndeep/b.wav,cat,dev,bob\nc.wav,cat,TEST,\n',
        encoding="utf-8",
    )
    listing = folder(tmp_path)
    assert listing.labels == ("cat", "dog, small")
    assert [clip.split for clip in listing.clips] == ["train", "validation", "test"]
    assert [clip.group for clip in listing.clips] == ["ann", "bob", None]
    assert listing.clips[1].path == tmp_path / "deep" / "b.wav"


def people(root, count, takes=2):
    """A table of persons who say both words, for training and, one of them, for the test."""
    lines = ["file_name,label,split,group"]
    for person in range(count + 1):
        for number in range(2 * takes):
            write_audio(root / f"{person}-{number}.wav")
            split = "train" if person < count else "test"
            label = ("no", "yes")[number % 2]
            lines.append(f"{person}-{number}.wav,{label},{split},person {person}")
    (root / "metadata.csv").write_text("\n".join(lines))
    return root


def test_a_missing_split_takes_whole_groups(tmp_path):
    clips = folder(people(tmp_path, 20), missing_split_share=0.15).clips
    assert Counter(clip.split for clip in clips) == {"train": 68, "validation": 12, "test": 4}
    assert len({(clip.group, clip.split) for clip in clips}) == 21
    validated = {clip.labels for clip in clips if clip.split == "validation"}
    assert validated == {("no",), ("yes",)}


def test_a_missing_split_that_is_less_than_a_group(tmp_path):
    root = people(tmp_path, 3)
    with pytest.raises(UserError, match=r"at 0\.15 validation takes none of the 3 speakers"):
        folder(root, missing_split_share=0.15)
    clips = folder(root, missing_split_share=0.3).clips
    assert len({clip.group for clip in clips if clip.split == "validation"}) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\na.wav,x\n", "no column file_name; it has file, label"),
        ("", "no column file_name and label; it has none"),
        ("file_name,label\n../a.wav,x\n", "line 2: file_name '../a.wav' must be a path inside"),
        ("file_name,label\n/etc/a.wav,x\n", "must be a path inside"),
        ("file_name,label\na.wav,\n", "line 2: has no label"),
        ("file_name,label\na.wav\n", "line 2: has no label"),
        ("file_name,label\na.wav,x\na.wav,y\n", "line 3: a.wav stands in line 2 already"),
        ("file_name,label\na.wav,x\n./a.wav,y\n", "line 3: ./a.wav stands in line 2 already"),
        ("file_name,label,split\na.wav,x,trian\n", "split 'trian'; allowed are train, valid"),
        ("file_name,label\na.wav,x\nb.wav,x\n", "only the class 'x'"),
        (b"file_name,label\na.wav,\xff\n", "not UTF-8"),
    ],
)
def test_bad_metadata(tmp_path, text, message):
    data = text if isinstance(text, bytes) else text.encode()
    (tmp_path / "metadata.csv").write_bytes(data)
    with pytest.raises(UserError, match=message):
        folder(tmp_path)


def test_nothing_fits(tmp_path):
    with pytest.raises(UserError, match=r"no audio in class folders.*Allowed are"):
        folder(tmp_path)
    write_audio(tmp_path / "x.wav")
    with pytest.raises(UserError, match="no audio in class folders"):
        folder(tmp_path)
    make_class_folder(tmp_path, {"dog": 2})
    with pytest.raises(UserError, match="only the class 'dog'"):
        folder(tmp_path)


def test_links_to_folders_are_classes_unless_they_loop(tmp_path):
    root = tmp_path / "root"
    make_class_folder(root, {"dog": 2})
    make_class_folder(tmp_path, {"elsewhere": 3})
    (root / "cat").symlink_to(tmp_path / "elsewhere")
    (root / "loop").symlink_to(root)
    (root / "up").symlink_to(tmp_path)
    (root / "dog" / "again").symlink_to(root / "dog")
    (root / "broken").symlink_to(root / "broken")
    counts = Counter(clip.labels[0] for clip in folder(root).clips)
    assert counts == {"dog": 2, "cat": 3}


def test_accents_are_one_class_however_they_are_written(tmp_path):
    make_class_folder(tmp_path, {"café": 1, "cafe\u0301": 1, "thé": 1})
    assert folder(tmp_path).labels == ("café", "thé")
