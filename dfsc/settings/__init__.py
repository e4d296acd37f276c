"""What a user may set: every leaf once, with its type, its allowed values and its unit, in one module per kind of job.

`configuration` composes all leaves into the whole of config/config.yaml, and `agreement` says which values fit
together. `building` checks and builds the settings of a job, `reading` the whole. The description of one kind
imports no other, so that a change of it computes nothing else anew.

May import: no room. Is imported by: every room.
"""
