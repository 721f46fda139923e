"""What a model's fill becomes, stage by stage. Knows `str` only."""
