"""Deployment: the cloud (bicep) and the local stack."""
