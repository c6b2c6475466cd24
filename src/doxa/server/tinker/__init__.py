"""A server that speaks the Tinker SDK's protocol over our own training and sampling: a rehearsal on this machine."""
