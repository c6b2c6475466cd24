"""On the wing of stats: published claims, found in a text and recomputed."""
