"""Jobs on a cluster: whether Slurm answers, what an earlier run left there, and how far a grid is.

May import: settings. Is imported by: commands and the workflow's rules.
"""
