"""The embedded default model, a miniature of real transformers classes, and the programs that make it.

Read `checkpoint` (what it is), `curriculum` (what it is taught, and in which order), `lessons` (the texts), `pictures`
and `batches`; then `forward`, `losses`, `optimizer`, `run` and `train`. After it run `measure` and `card`.
`diets` and `study` train it further for notebook 10.
"""
