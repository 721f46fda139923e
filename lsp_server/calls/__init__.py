"""Python calls that follow a changed header. Knows text, syntax and edits, no LSP."""
