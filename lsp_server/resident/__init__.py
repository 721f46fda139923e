"""The way to the resident model: finding it, starting it, asking it."""
