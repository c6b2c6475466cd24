"""A server that speaks the protocol of the Tinker SDK over our own training and sampling: a rehearsal on this machine."""
