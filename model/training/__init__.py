"""How the embedded model comes to be: corpus, tokenizer, spans, noise, one resumable training program."""
