"""On the wing of stats: what a study can find, before it runs."""
