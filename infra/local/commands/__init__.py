"""The commands of `./run`, one module each: `add_arguments` and `run`."""
