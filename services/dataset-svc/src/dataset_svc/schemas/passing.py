"""Fields that are answered as they are stored, and that a model describes in the API's document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


@dataclass(frozen=True)
class DescribedBy:
    """Says by a model what a field holds. The value is not read by it: a page may have hundreds of them, and what an
    earlier platform stored is answered too."""

    model: type[BaseModel]

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """For pydantic: the model's description instead of the field's own."""
        described: Any = self.model.__pydantic_core_schema__
        return handler(described)
