"""Measures of large models at work: `midfill bench gemma`."""
