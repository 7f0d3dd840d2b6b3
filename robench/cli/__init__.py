"""The `robench` command: one module a subcommand, each named in `robench.cli.main.COMMANDS`."""
