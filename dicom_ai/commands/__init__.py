"""What each command does, one room each; `cli` and `cli_admin` only read the command line."""
