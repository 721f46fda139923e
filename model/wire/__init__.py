"""All that a front may import: the wire's types, addresses, the catalogue. Loads no tensor library."""
