"""The embedded checkpoints that ship with midfill; see MODEL_CARD.md for what they are and are not."""
