"""Change what a language model believes, see what it then does, and know whether to trust the difference."""

__version__ = "0.1.0"
