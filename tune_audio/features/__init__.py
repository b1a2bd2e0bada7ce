"""From waveforms to what a trained stage is given: computed once, kept for all trials."""
