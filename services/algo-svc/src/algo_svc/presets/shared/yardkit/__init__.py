"""What every preset's training and serving code stands on.

This package is copied into each code package as it is and runs in an engine's Python environment, not in
the platform's: it imports only the standard library and what the engine lists, and nothing of Modelyard.
"""

import os

# The models are small: more BLAS threads would only fight over the cores allocated to the workload, cost
# memory in every replica, and make two runs with the same seed differ. Whoever sets these keeps the choice.
for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
