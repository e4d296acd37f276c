"""What a user may set: every leaf once, with its type, its allowed values and its unit, in one module per stage.

`configuration` composes the stages' leaves into the whole of config/config.yaml, and `agreement` says which values fit
together. `building` checks and builds the settings of a stage, `reading` the whole. The description of one stage
imports no other stage's, so that a change of it computes nothing else anew.
"""
