"""Floor 3: measuring."""
