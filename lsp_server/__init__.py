"""The front: speaks LSP; knows documents, positions, syntax and edits; never sees a tensor and never loads torch."""
