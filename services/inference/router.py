"""The inference endpoints."""

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, field_validator

from services.http.errors import CONFLICT, NOT_FOUND
from services.http.json import json_response
from services.inference.measures import INPUTS, PREDICT_SECONDS
from services.inference.options import Options
from services.inference.predictor import predict
from services.inference.registry import Registry
from shared.config import get_settings
from shared.db.models import LATEST

router = APIRouter(prefix="/v1/models/{name}", tags=["inference"])


class PredictRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    inputs: Annotated[list[Any], Field(min_length=1)]
    """Inputs in the form in which the dataset has them."""
    options: Options = Options()

    @field_validator("inputs")
    @classmethod
    def _not_too_many(cls, inputs: list[Any]) -> list[Any]:
        limit = get_settings().max_predict_inputs
        if len(inputs) > limit:
            raise ValueError(f"at most {limit} inputs at once")
        return inputs


class PredictView(BaseModel):
    """One output an input."""

    model: str
    version: int
    outputs: list[dict[str, Any]]


@router.post("/predict", response_model=PredictView, responses={**NOT_FOUND, **CONFLICT})
def predict_latest(name: str, body: PredictRequest, request: Request) -> Response:
    """Predict with the newest version: {"label","probabilities"}, {"value"}, {"text","score"}, ..."""
    return _answer(request, name, LATEST, body)


@router.post(
    "/versions/{version}/predict", response_model=PredictView, responses={**NOT_FOUND, **CONFLICT}
)
def predict_version(name: str, version: str, body: PredictRequest, request: Request) -> Response:
    """Predict with one version, by number, alias or `latest`."""
    return _answer(request, name, version, body)


def _answer(request: Request, name: str, version: str, body: PredictRequest) -> Response:
    registry: Registry = request.app.state.registry
    model = registry.get(name, version)
    with PREDICT_SECONDS.time():
        outputs = predict(model, body.inputs, body.options)
    INPUTS.observe(len(outputs))
    return json_response({"model": name, "version": model.version, "outputs": outputs})
