"""What services tell one another: a module a service, and the shapes that they share.

Additive only: a field may be added with a default; none is renamed, removed or given another meaning.
Importing this package registers every event type.
"""

from common.contracts import algorithm, allocation, dataset, image, job, model, project, service, shared

__all__ = ["algorithm", "allocation", "dataset", "image", "job", "model", "project", "service", "shared"]
