"""What every Modelyard service stands on.

Layers, each seeing only those before it: `kernel` (ids, clock, errors, states, events) < `contracts` (what
services tell one another) < `ports` (what a service needs of the outside) < adapters (`db`, `bus`, `files`,
`runtime`, `inventory`, `images`, `staging`, `telemetry`) < `web` and `workloads` < `service`.
"""
