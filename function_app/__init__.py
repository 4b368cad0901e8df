"""The function app: thin triggers around `shared`.

The Functions worker imports this package by the stem of `function_app.py` at the root and looks for the one
`FunctionApp` here.
"""

from function_app.app import app

__all__ = ["app"]
