"""How LSP is spoken: positions, the protocol, its errors, the way to the editor, progress displays."""
