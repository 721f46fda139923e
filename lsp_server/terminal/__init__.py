"""What a person runs in a terminal; each module is one command."""
