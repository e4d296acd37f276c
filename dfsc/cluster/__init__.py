"""Jobs on a cluster: whether Slurm answers, what an earlier run left there, and how far a grid is.

May import: no room. Is imported by: commands and the workflow's rules.
"""
