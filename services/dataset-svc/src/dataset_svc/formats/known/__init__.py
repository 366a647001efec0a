"""The formats, each a module of its own with its format as `FORMAT`: whoever adds one adds a module, and nothing else.
Importing one must be cheap; what it needs for its content it imports where a checker is made."""
