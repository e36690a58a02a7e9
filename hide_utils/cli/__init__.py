"""The command line: one front door, `hide` (or `python -m hide_utils`).

Read `main` (which command goes where), then `run`, `records` and `execution` (notebooks), `reproduce` (the paper's
tables), and `adapter`, `lmms_eval` and `vlmeval` (HiDe as a model of other toolkits).
"""
