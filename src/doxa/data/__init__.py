"""Prose is data: beliefs, pairs, items and studies."""
