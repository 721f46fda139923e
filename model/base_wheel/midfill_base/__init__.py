"""The folder of the base model's file and its licence; there is no code here."""
