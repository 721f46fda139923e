"""One request from beginning to end, and the one loop. Knows no model family."""
