from pathlib import Path

import pytest

from tune_audio.machine.folders import cache_folder, network_file_system, runs_folder


def test_the_environment_names_the_cache():
    assert cache_folder({"TUNE_AUDIO_CACHE": "/big/disk"}) == Path("/big/disk")
    home = Path.home() / ".cache" / "tune_audio"
    assert cache_folder({}) == cache_folder({"TUNE_AUDIO_CACHE": ""}) == home
    assert cache_folder({"TUNE_AUDIO_CACHE": "~/x"}) == Path.home() / "x"


def test_the_environment_names_where_searches_are_kept():
    assert runs_folder({"TUNE_AUDIO_RUNS": "/shared/runs"}) == Path("/shared/runs")
    assert runs_folder({}) == runs_folder({"TUNE_AUDIO_RUNS": ""}) == Path.cwd() / "runs"


MOUNTS = """/dev/vda / ext4 rw 0 0
home:/export /home nfs4 rw 0 0
/dev/vdb /home/local/disk xfs rw 0 0
//server/share /mnt/share cifs rw 0 0
scratch@tcp:/fs /scratch lustre rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/runs", None),
        ("/home/me/runs", "nfs4"),
        ("/home/local/disk/runs", None),
        ("/homeless", None),
        ("/mnt/share/a/b", "cifs"),
        ("/scratch", "lustre"),
    ],
)
def test_the_network_s_file_systems_are_known(path: str, kind: str | None):
    assert network_file_system(Path(path), MOUNTS) == kind
