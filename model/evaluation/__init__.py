"""What the models are worth, measured: each module is one measure that prints its figures."""
