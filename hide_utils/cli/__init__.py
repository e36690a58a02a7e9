"""The command line: one front door, `hide` (or `python -m hide_utils`).

Read `main` (which command goes where), then `run`, `records` and `execution` (notebooks), and `lmms_eval` (HiDe as a
model of another toolkit).
"""
