"""HTTP: what people and programs ask of the system."""
