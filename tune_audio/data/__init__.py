"""Data sets: a name and the function that lists its clips.

A data set is a function `name(root: Path, *, <its own options>) -> Listing` in a file of its own
and a line here. Where the owners allow downloading, the same file has
`download(folder: Path) -> Path`.
"""

DATASETS = {
    "speech_commands": "tune_audio.data.speech_commands:speech_commands",
    "folder": "tune_audio.data.folder:folder",
}
