"""The resident model: text in, text out. It owns tokens, tensors and devices, and has never heard of LSP."""
