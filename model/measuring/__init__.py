"""What training and evaluation share: holes drawn, ways to fill them, scores and intervals."""
