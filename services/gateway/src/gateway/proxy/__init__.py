"""Passing requests on: nothing buffered, nothing sent twice, nothing leaked about the caller's credentials."""
