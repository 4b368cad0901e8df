"""What runs on a Batch node: one command per task kind."""
