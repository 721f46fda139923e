"""What the families on transformers share: judging a folder, loading it, its tokenizer."""
