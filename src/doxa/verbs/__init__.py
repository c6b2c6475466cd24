"""Verbs of the command line: each is a function of the package with the same name."""
