"""Serves a trained image classifier: `POST /classify_image` with a file, and the Open Inference Protocol v2."""

import base64
import binascii
import os
from pathlib import Path

import numpy as np
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from yardkit import images
from yardkit.arrays import Array
from yardkit.data import Unreadable
from yardkit.perceptron import Perceptron
from yardkit.process import Stop, run
from yardkit.protocol import BadRequest, Spec, Values
from yardkit.serving import BadInput, build, definition, limited, model_folder, serve

INPUT = "image"


class ImageClassifier:
    """Image files (BYTES, base64) or arrays of pixels from 0 to 255 (FP32) in, probabilities out."""

    def __init__(self, network: Perceptron) -> None:
        self._network = network
        self.classes = network.classes
        self.inputs = [Spec(INPUT, "BYTES", (-1,)), Spec("pixels", "FP32", (-1, *network.shape))]

    def probabilities(self, name: str, values: Values) -> Array:
        """One row of class probabilities an image."""
        if isinstance(values, list):
            values = np.stack([self._decoded(number, text) for number, text in enumerate(values)])
        return self._network.probabilities(values)

    def _decoded(self, number: int, text: str) -> Array:
        try:
            file = base64.b64decode(text, validate=True)
            return images.read_image(file, self._network.size, self._network.color)
        except (binascii.Error, ValueError):
            raise BadRequest(f"image {number} is not base64") from None
        except Unreadable as reason:
            raise BadRequest(f"image {number}: {reason}") from None


async def read_upload(request: Request) -> tuple[str, Values]:
    """The file of a multipart form, as the protocol's base64; raises `BadInput`."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise BadInput(INPUT, "send multipart/form-data with the image as a file in this field")
    try:
        form = await MultiPartParser(request.headers, limited(request), max_files=1, max_fields=8).parse()
    except (MultiPartException, KeyError) as reason:
        raise BadInput(INPUT, f"the form can't be read: {reason}") from None
    given = form.get(INPUT)
    if not isinstance(given, UploadFile):
        raise BadInput(INPUT, "it is missing, or is not sent as a file")
    content = await given.read()
    await form.close()
    if not content:
        raise BadInput(INPUT, "the file is empty")
    return INPUT, [base64.b64encode(content).decode()]


def main(stop: Stop) -> None:
    """Load the model, then listen."""
    about = definition(Path(__file__).with_name("algorithm.json"))
    classifier = ImageClassifier(Perceptron.load(model_folder(os.environ)))
    name = os.environ.get("MODEL_NAME") or about["name"]
    serve(build(classifier, about["inference"]["interface"], name, read_upload), os.environ)


if __name__ == "__main__":
    run(main)
