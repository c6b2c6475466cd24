"""Every arm of a study as a model behind an OpenAI-compatible server."""
