"""Serves a trained text classifier: `POST /classification_param?text=…`, and the Open Inference Protocol v2."""

import os
from pathlib import Path

from starlette.requests import Request
from yardkit.arrays import Array
from yardkit.bayes import Bayes
from yardkit.process import Stop, run
from yardkit.protocol import BadRequest, Spec, Values
from yardkit.serving import BadInput, build, definition, model_folder, serve
from yardkit.text import LONGEST

INPUT = "text"


class TextClassifier:
    """Texts (BYTES) in, probabilities out."""

    def __init__(self, bayes: Bayes) -> None:
        self._bayes = bayes
        self.classes = bayes.classes
        self.inputs = [Spec(INPUT, "BYTES", (-1,))]

    def probabilities(self, name: str, values: Values) -> Array:
        """One row of class probabilities a text."""
        texts = [str(value) for value in values]
        for number, text in enumerate(texts):
            if not text.strip():
                raise BadRequest(f"text {number} is empty")
            if len(text) > LONGEST:
                raise BadRequest(f"text {number} is longer than {LONGEST:,} characters")
        return self._bayes.probabilities(texts)


async def read_query(request: Request) -> tuple[str, Values]:
    """The text of the query; raises `BadInput` where it is missing, empty or given twice."""
    given = request.query_params.getlist(INPUT)
    if not given:
        raise BadInput(INPUT, f"it is missing: send it as a query parameter, ?{INPUT}=…")
    if len(given) > 1:
        raise BadInput(INPUT, "it is given more than once")
    if not given[0].strip():
        raise BadInput(INPUT, "it is empty")
    return INPUT, given


def main(stop: Stop) -> None:
    """Load the model, then listen."""
    about = definition(Path(__file__).with_name("algorithm.json"))
    classifier = TextClassifier(Bayes.load(model_folder(os.environ)).warm())
    name = os.environ.get("MODEL_NAME") or about["name"]
    serve(build(classifier, about["inference"]["interface"], name, read_query), os.environ)


if __name__ == "__main__":
    run(main)
