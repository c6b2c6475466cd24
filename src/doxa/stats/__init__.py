"""A wing on floor 0: inferring. numpy, scipy and pandas; never torch, never inspect."""
