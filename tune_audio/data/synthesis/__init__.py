"""Audio that is made here, for demonstrations and for the compact backbones."""

SAMPLE_RATE = 16_000  # of all of it
