"""The model families: each turns a request into denoising on its own network, behind one protocol."""
