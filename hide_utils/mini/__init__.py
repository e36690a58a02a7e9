"""The embedded default model, a miniature of real transformers classes, and the programs that make it.

Read `checkpoint` (what it is), `lessons` and `crops` (what it is taught), `batches`, `curriculum` (in which order) and
`train`. After it run `calibrate`, `measure` and `card`. `study` trains the finished model further, for notebook 10.
"""
