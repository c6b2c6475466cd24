"""Floor 2: the only floor that imports inspect_ai."""
