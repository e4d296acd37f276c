"""Weights from images: teacher, then student and autoencoder, in one loop that resumes from checkpoints.

May import: data, model, settings. Is imported by: inference, report.
"""
