"""One module a feature: what a request of an editor becomes."""
