"""What is open and what is set: the session, its settings, and what it remembers of documents."""
