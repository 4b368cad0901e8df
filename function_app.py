"""Marker that the Functions worker and tools look for; the app itself is the package `function_app/`.

The worker checks that this file exists and then imports `function_app`; a package beats a module of the same name.
"""

raise ImportError(
    "function_app.py was imported instead of the package function_app/: the package is missing or not a package here."
)
