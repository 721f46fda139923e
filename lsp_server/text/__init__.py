"""Text and offsets only: holes, syntax, requests and what becomes of answers. Knows neither LSP nor tensors."""
