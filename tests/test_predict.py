"""A model of three pitches is asked about tones: what is said of what it hears."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from make_audio import RATE, write_audio
from pitch_model import SAMPLES, pitch, save

from tune_audio.cli import main
from tune_audio.errors import UserError
from tune_audio.inference.classifier import Classifier
from tune_audio.inference.recordings import cut
from tune_audio.inference.thresholds import Thresholds
from tune_audio.models.lstm_cnn import LSTMCNN
from tune_audio.predict import answers, as_submission, find_audio, predict


def run(capsys: pytest.CaptureFixture, *arguments: object) -> tuple[int, str, str]:
    code = predict.main([str(a) for a in arguments], standalone_mode=False)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_model_of_a_demonstration_says_so(trained, tone_corpus, tmp_path: Path, capsys) -> None:
    made = save(tmp_path / "made", trained, tone_corpus.labels, demonstration=True)
    real = save(tmp_path / "real", trained, tone_corpus.labels, demonstration=False)
    told = [
        run(capsys, model, write_audio(tmp_path / "a.wav", pitch("low")))[2]
        for model in (made, real)
    ]
    assert ["synthesised audio" in line for line in told] == [True, False]


def test_every_file_has_its_own_answer(model: Path, tones: Path, capsys) -> None:
    code, out, err = run(capsys, model, tones)
    rows = rows_of(out)
    assert code == 0 and len(rows) == 120
    assert [row["file"] for row in rows] == sorted(map(str, tones.rglob("*.wav")))
    assert all(row["label"] == Path(row["file"]).parent.name for row in rows)
    assert all(float(row["probability"]) > float(row["runner_up_probability"]) for row in rows)
    assert all(row["label"] != row["runner_up"] for row in rows)
    assert "lstm_cnn, 3 labels" in err and "Rule" not in err


# What is said of it.

PROBABILITIES = np.array([[0.1, 0.7, 0.2], [0.3, 0.25, 0.45], [0.3, 0.34, 0.36]])


def test_report_b_s_rule() -> None:
    rule = Thresholds(unknown_below=0.5, silence_below=0.4)
    said = answers(["a", "b", "c"], PROBABILITIES, rule)
    assert [answer.label for answer in said] == ["b", "unknown", "silence"]
    assert said[0][1:] == ("0.7000", "c", "0.2000")
    assert said[1][1:] == ("0.4500", "c", "0.4500")  # what it had been
    assert [a.label for a in answers(["a", "b", "c"], PROBABILITIES, Thresholds())] == list("bcc")


def test_all_likely_labels_of_a_multi_label_model() -> None:
    probabilities = np.array([[0.6, 0.2, 0.9], [0.1, 0.4, 0.5], [0.8, 0.7, 0.6]])
    said = answers(["a", "b", "c"], probabilities, Thresholds(), multi_label=True)
    assert said[0] == ("c|a", "0.9000|0.6000", "b", "0.2000")
    assert said[1] == ("", "", "c", "0.5000")
    assert said[2] == ("a|b|c", "0.8000|0.7000|0.6000", "", "")


def test_a_multi_label_model_has_a_sigmoid_for_each_label(
    trained: LSTMCNN, tmp_path: Path, capsys
) -> None:
    folder = save(tmp_path / "model", trained, ["a", "b", "c"], multi_label=True)
    waveforms = np.stack([*cut([np.zeros(SAMPLES, dtype=np.int16)], SAMPLES, RATE)])
    logits = trained(torch.from_numpy(waveforms)).detach().numpy().astype(float)
    given = Classifier(folder).probabilities(waveforms)
    np.testing.assert_allclose(given, 1 / (1 + np.exp(-logits)), rtol=1e-5)
    path = write_audio(tmp_path / "low.wav", pitch("low"))
    with pytest.raises(UserError, match="one label a clip"):
        run(capsys, folder, path, "--unknown-below", 0.5)


# Files.


def test_folders_are_searched_and_nothing_is_heard_twice(tmp_path: Path) -> None:
    deep = write_audio(tmp_path / "b" / "deep" / "x.wav")
    top = write_audio(tmp_path / "b" / "a.flac")
    (tmp_path / "b" / "notes.txt").write_text("no audio")
    (tmp_path / "empty").mkdir()
    found, bad = find_audio([deep, tmp_path / "b", tmp_path / "empty", tmp_path / "gone.wav"])
    assert found == [deep, top, tmp_path / "gone.wav"]
    assert bad == [(tmp_path / "empty", "has no audio files")]


def test_bad_files_are_listed_and_the_others_are_heard(model, tmp_path, capsys) -> None:
    good = write_audio(tmp_path / "good.wav", pitch("middle"))
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"nothing of the kind")
    code, out, err = run(capsys, model, bad, good, tmp_path / "gone.wav")
    assert code == 0
    assert [(row["file"], row["label"]) for row in rows_of(out)] == [(str(good), "middle")]
    not_used = [line for line in err.splitlines() if line.startswith("Not used: ")]
    assert [line.split()[2] for line in not_used] == [str(bad), str(tmp_path / "gone.wav")]
    assert "No such file" in not_used[1]


def test_nothing_usable_is_exit_code_2(model, tmp_path, capsys, monkeypatch) -> None:
    (tmp_path / "bad.wav").write_bytes(b"nothing of the kind")
    output = tmp_path / "labels.csv"
    argv = ["predict", str(model), str(tmp_path), "--output", str(output)]
    monkeypatch.setattr("sys.argv", argv)
    with pytest.raises(SystemExit) as ended:
        main(predict)
    assert ended.value.code == 2
    assert "bad.wav" in capsys.readouterr().err and not output.exists()


def test_output_is_a_csv_file(model, tmp_path, capsys) -> None:
    path = write_audio(tmp_path / "a, b.wav", pitch("high"))
    output = tmp_path / "labels.csv"
    code, out, err = run(capsys, model, path, "--output", output)
    (row,) = rows_of(output.read_text())
    assert (code, out) == (0, "") and str(output) in err
    assert (row["file"], row["label"]) == (str(path), "high")
    with pytest.raises(UserError, match="a folder that exists"):
        run(capsys, model, path, "--output", tmp_path / "gone" / "labels.csv")


def test_a_terminal_gets_a_table(model, tones, capsys, monkeypatch) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    _, out, err = run(capsys, model, tones)
    assert "runner-up" in out and "┃" in out and "file,label" not in out
    assert out.count(".wav") == 40
    assert "40 of 120 recordings" in err and "middle 40" in err


def test_what_others_wrote_is_shown_escaped(trained, tmp_path, capsys, monkeypatch) -> None:
    labels = ["=high", "[red]low", "\x1b[2Jmiddle\u202e"]
    folder = save(tmp_path / "model", trained, labels)
    paths = [
        write_audio(tmp_path / f"{name}.wav", pitch(height))
        for name, height in (("a\nb\x1b[2J", "high"), ("b", "low"), ("c", "middle"))
    ]
    _, out, err = run(capsys, folder, *paths, tmp_path / "gone\r\x1b[2J.wav")
    assert [row["label"] for row in rows_of(out)] == [
        "'=high", "[red]low", r"\x1b[2Jmiddle\u202e"
    ]  # fmt: skip
    assert rows_of(out)[0]["file"].endswith(r"/a\nb\x1b[2J.wav")
    assert r"gone\r\x1b[2J.wav No such file" in err.replace("cannot be opened: ", "")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "200")
    _, shown, told = run(capsys, folder, *paths)
    assert "[red]low" in shown and r"\x1b[2Jmiddle\u202e" in shown and "=high" in shown
    for text in (out, err, shown, told):
        assert "\x1b[2J" not in text and "\u202e" not in text and "\r" not in text


def test_recordings_beyond_1_are_told(model, trained, tone_corpus, tmp_path, capsys) -> None:
    scaling = save(tmp_path / "scaling", trained, tone_corpus.labels, peak="normalise")
    path = tmp_path / "loud.wav"
    soundfile.write(path, 30_000 * pitch("low"), 16_000, subtype="FLOAT")
    told = [run(capsys, folder, path)[2].splitlines()[1] for folder in (model, scaling)]
    assert told[0].startswith(f"1 recording goes beyond ±1, {path} as far as 9")
    assert [line.rpartition(": ")[2] for line in told] == [
        "what is beyond is clipped", "scaled to its peak"
    ]  # fmt: skip


def test_libmpg123_is_not_heard(model, tmp_path) -> None:
    whole = write_audio(tmp_path / "x.mp3", pitch("low", 3.0)).read_bytes()
    middle = len(whole) // 2
    (tmp_path / "x.mp3").write_bytes(whole[:middle] + b"\xff\xfanonsense" * 9 + whole[middle:])
    command = [sys.executable, "-m", "tune_audio.predict", str(model), str(tmp_path / "x.mp3")]
    by_itself = f"import soundfile; soundfile.read({str(tmp_path / 'x.mp3')!r})"
    here = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done, talks = (
        subprocess.run(what, capture_output=True, text=True, env=here)
        for what in (command, [sys.executable, "-c", by_itself])
    )
    assert "Note: " in talks.stderr or "libmpg123" in talks.stderr
    assert done.stderr == f"Model  {Classifier(model)}\n" and "x.mp3,low" in done.stdout


# Kaggle.


@pytest.fixture
def speaker(trained: LSTMCNN, tmp_path: Path) -> Path:
    """high is "no", low is "bed", which is no command, middle is "yes"."""
    return save(tmp_path / "speaker" / "model", trained, ["no", "bed", "yes"])


@pytest.fixture
def challenge(tmp_path: Path) -> Path:
    root = tmp_path / "challenge"
    for name, height in (("b0", "low"), ("a1", "middle"), ("c2", "high")):
        write_audio(root / "test" / "audio" / f"clip_{name}.wav", pitch(height))
    return root


def test_a_submission(speaker: Path, challenge: Path, tmp_path: Path, capsys) -> None:
    file = tmp_path / "submission.csv"
    code, out, err = run(capsys, speaker, challenge, "--kaggle", file)
    assert (code, out) == (0, "")
    assert file.read_bytes() == (
        b"fname,label\nclip_a1.wav,yes\nclip_b0.wav,unknown\nclip_c2.wav,no\n"
    )
    assert "Silence is never said" in err


def test_a_submission_names_every_clip(speaker, challenge, tmp_path, capsys) -> None:
    (challenge / "test" / "audio" / "clip_a9.wav").write_bytes(b"")
    file = tmp_path / "submission.csv"
    code, _, err = run(capsys, speaker, challenge, "--kaggle", file, "--silence-below", 1)
    lines = file.read_text().splitlines()
    assert code == 0 and lines[2] == "clip_a9.wav,unknown"
    assert [line.split(",")[1] for line in lines[1:]] == [
        "silence",
        "unknown",
        "silence",
        "silence",
    ]
    assert "clip_a9.wav is empty" in err and "In the submission they are unknown" in err
    assert "Silence is never said" not in err


def test_what_kaggle_does_not_know_is_unknown() -> None:
    paths = [Path("x/clip_2.wav"), Path("x/clip_1.wav"), Path("x/clip_3.wav")]
    text = as_submission(paths, ["silence", "marvin", "go"])
    assert text.splitlines()[1:] == ["clip_1.wav,unknown", "clip_2.wav,silence", "clip_3.wav,go"]


def test_a_submission_needs_commands(model, challenge, tmp_path, capsys) -> None:
    with pytest.raises(UserError, match="none of the commands"):
        run(capsys, model, challenge, "--kaggle", tmp_path / "submission.csv")
    with pytest.raises(UserError, match="test/audio"):
        run(capsys, model, tmp_path, "--kaggle", tmp_path / "submission.csv")


# Thresholds that lie beside the model.


def test_thresholds_of_the_model_are_used_and_said(speaker, tmp_path, capsys) -> None:
    path = write_audio(tmp_path / "low.wav", pitch("low"))
    stored = {"unknown_below": 1.0, "silence_below": 0.0}
    (speaker / "thresholds.json").write_text(json.dumps(stored))
    _, out, err = run(capsys, speaker, path)
    assert rows_of(out)[0]["label"] == "unknown" and rows_of(out)[0]["runner_up"] == "bed"
    assert "unknown below 1" in err and "as tuned" in err
    _, out, err = run(capsys, speaker, path, "--unknown-below", 0)
    assert rows_of(out)[0]["label"] == "bed" and "Rule" not in err
    _, out, err = run(capsys, speaker, path, "--silence-below", 1)
    assert rows_of(out)[0]["label"] == "silence" and "as given" in err
