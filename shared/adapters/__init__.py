"""The only modules that import the SDKs of outside services."""
