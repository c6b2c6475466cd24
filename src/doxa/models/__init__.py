"""Floor 1: a language model in memory."""
