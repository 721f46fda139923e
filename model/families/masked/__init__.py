"""Masked diffusion models, on transformers' Qwen2 and Llama classes."""
