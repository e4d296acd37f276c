"""A trained model's anomaly maps and image scores, and what they are worth: evaluation against the ground truth.

May import: data, model, training, metrics, settings. Is imported by: report.
"""
