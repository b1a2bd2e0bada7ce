"""Find the best audio classifier for your labelled audio.

python -m tune_audio.search --space speech4
"""

__version__ = "0.1.0"
