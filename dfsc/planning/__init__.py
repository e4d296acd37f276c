"""Before a benchmark starts: how long it will take, how much disk it fills, and what it lacks.

May import: cluster, data, inference, model, outside, report, settings, training. Is imported by: commands and the
workflow's rules.
"""
