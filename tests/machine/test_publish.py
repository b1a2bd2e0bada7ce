import pytest

from tune_audio.machine.publish import publish_text, published_folder


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "deep" / "entry"
    with pytest.raises(RuntimeError), published_folder(target) as partial:
        (partial / "half").write_text("x")
        raise RuntimeError
    assert list(target.parent.iterdir()) == []
    with published_folder(target) as partial:
        (partial / "all").write_text("x")
        assert not target.exists()
    assert [path.name for path in target.parent.iterdir()] == ["entry"]
    assert (target / "all").read_text() == "x"


def test_what_a_killed_writer_left_is_not_mixed_in(tmp_path):
    target = tmp_path / "entry"
    for _ in range(2):
        with published_folder(target) as partial:
            (partial / "new").write_text("x")
        partial.mkdir()
        (partial / "left").write_text("by a killed writer")
        (target / "old").write_text("x")
    with published_folder(target) as partial:
        (partial / "new").write_text("x")
    assert [path.name for path in target.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["entry"]


def test_text_is_replaced_at_once(tmp_path):
    for text in ("old", "new"):
        publish_text(tmp_path / "a" / "b", text)
        assert (tmp_path / "a" / "b").read_text() == text
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]
