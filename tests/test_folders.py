from pathlib import Path

from tune_audio.folders import cache_folder, runs_folder


def test_the_environment_names_the_cache():
    assert cache_folder({"TUNE_AUDIO_CACHE": "/big/disk"}) == Path("/big/disk")
    home = Path.home() / ".cache" / "tune_audio"
    assert cache_folder({}) == cache_folder({"TUNE_AUDIO_CACHE": ""}) == home
    assert cache_folder({"TUNE_AUDIO_CACHE": "~/x"}) == Path.home() / "x"


def test_the_environment_names_where_searches_are_kept():
    assert runs_folder({"TUNE_AUDIO_RUNS": "/shared/runs"}) == Path("/shared/runs")
    assert runs_folder({}) == runs_folder({"TUNE_AUDIO_RUNS": ""}) == Path.cwd() / "runs"
