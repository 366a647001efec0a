"""The gateway's rules, pure: users and keys, login attempts, paths, balancing, who may see which event."""
