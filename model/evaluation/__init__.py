"""What the models are worth, measured: each module is one measure that prints figures and the command that made them."""
