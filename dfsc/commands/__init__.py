"""The subcommands, one per rule of the workflow, by what they work on.

May import: every room. Is imported by: cli.
"""
