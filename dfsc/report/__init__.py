"""What people look at: tracked runs, the comparison made from them, its tables and figures.

May import: data, model, training, inference, metrics, settings. Is imported by: commands.
"""
