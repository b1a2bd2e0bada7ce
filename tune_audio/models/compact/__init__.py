"""Two small backbones, wav2vec 2.0 and AST of a million parameters each, and their recipe.

For trying the whole program without a download: see README.md beside this file.
"""
