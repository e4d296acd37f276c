"""Images: where they come from, how they lie on a disk, and what is checked before anything is computed of them.

May import: metrics, settings. Is imported by: model, training, inference, report.
"""
