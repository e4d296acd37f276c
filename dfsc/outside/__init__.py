"""Methods from outside: images under neutral names in, anomaly maps out; and the controls.

May import: data, inference, model, settings, training. Is imported by: commands and the workflow's rules.
"""
