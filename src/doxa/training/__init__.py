"""Floor 3: makers. Corpora of known origin, and adapters trained on them, here or on Tinker.

`rows.py` says what is trained on, `doxa.words.tuning` how.
"""
