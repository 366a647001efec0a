"""Adapters of the bus port: `memory:` within one process; RabbitMQ comes beside it."""
