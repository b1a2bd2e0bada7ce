"""Data sets: a name and the function that lists its clips.

A data set is a function `name(root: Path, *, <its own options>) -> Listing` in a file of its own
and a line here. Where the owners allow downloading, the same file has
`download(folder: Path) -> Path`.
"""

DATASETS = {
    "speech_commands": "tune_audio.data.datasets.speech_commands:speech_commands",
    "folder": "tune_audio.data.datasets.folder:folder",
    "speech_commands12": "tune_audio.data.datasets.speech_commands:speech_commands12",
    "kaggle_speech": "tune_audio.data.datasets.kaggle_speech:kaggle_speech",
    "esc50": "tune_audio.data.datasets.esc50:esc50",
    "fsd50k": "tune_audio.data.datasets.fsd50k:fsd50k",
}
