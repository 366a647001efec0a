"""The words every other room is written in: identifiers, time, errors, states and events. No I/O."""
