"""The networks, their losses, and their weights as files.

May import: settings. Is imported by: training, inference, report.
"""
