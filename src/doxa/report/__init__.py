"""On stats: what a person reads."""
