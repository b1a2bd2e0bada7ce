"""Audio that is made here, for demonstrations and for the compact backbones."""
