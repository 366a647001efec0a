"""The platform as docker-compose.yml describes it."""
