"""What is known of a corpus before anything is decoded."""

from pathlib import Path

from make_audio import make_class_folder

from tune_audio.costs.outline import outline
from tune_audio.space import load_space

SPACE = """
data: {{name: folder, root: {root}, split: [0.6, 0.2, 0.2], corrections: {corrections}}}
train: {{epochs: 1}}
search: {{sampler: grid}}
models: {{lstm_cnn: {{}}}}
"""


def test_corrections_are_counted(tmp_path: Path) -> None:
    root = make_class_folder(tmp_path / "root", {"dog": 10, "cat": 10})
    first, second = sorted(path.name for path in (root / "dog").iterdir())[:2]
    file = tmp_path / "corrections.csv"
    file.write_text(f"file,label\ndog/{first},drop\ndog/{second},cat\n")
    spaces = {}
    for name, corrections in (("plain", "null"), ("corrected", file)):
        path = tmp_path / f"{name}.yaml"
        path.write_text(SPACE.format(root=root, corrections=corrections))
        found = outline(load_space(path), tmp_path / "cache")
        spaces[name] = sorted(found.labels[target] for target in found.targets)
    assert spaces["plain"] == ["cat"] * 10 + ["dog"] * 10
    assert spaces["corrected"] == ["cat"] * 11 + ["dog"] * 8
