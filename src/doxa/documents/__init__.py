"""A wing on the wing: documents that somebody wrote. Words and stats below it; never torch, never inspect."""
