"""Local development stack: the cloud services of this system as local processes."""
