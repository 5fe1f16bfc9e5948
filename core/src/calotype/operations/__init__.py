"""The answers to an operator's questions, which the commands and the console share. They change nothing."""
