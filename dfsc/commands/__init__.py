"""The subcommands, one per rule of the workflow, by what they work on."""
