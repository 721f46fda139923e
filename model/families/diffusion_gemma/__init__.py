"""DiffusionGemma, on transformers' own classes."""
