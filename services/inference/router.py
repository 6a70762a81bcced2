"""The inference endpoints."""

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, field_validator

from services.http.errors import CONFLICT, NOT_FOUND
from services.http.parsing import FastRoute
from services.inference.measures import INPUTS, PREDICT_SECONDS
from services.inference.options import Options
from services.inference.predicting import SMALL_BYTES, Predictions
from services.inference.presence import Timeout
from services.inference.serving import model_of, respond
from shared.config import get_settings
from shared.db.models import LATEST

router = APIRouter(prefix="/v1/models/{name}", tags=["inference"], route_class=FastRoute)


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
async def predict_latest(
    name: str, body: PredictRequest, request: Request, timeout_s: Timeout = None
) -> Response:
    """Predict with the newest version: {"label","probabilities"}, {"value"}, {"text","score"}, ..."""
    return await respond(request, _answer(request, name, LATEST, body), timeout_s)


@router.post(
    "/versions/{version}/predict", response_model=PredictView, responses={**NOT_FOUND, **CONFLICT}
)
async def predict_version(
    name: str, version: str, body: PredictRequest, request: Request, timeout_s: Timeout = None
) -> Response:
    """Predict with one version, by number, alias or `latest`."""
    return await respond(request, _answer(request, name, version, body), timeout_s)


async def _answer(
    request: Request, name: str, version: str, body: PredictRequest
) -> dict[str, Any]:
    predictions: Predictions = request.app.state.predictions
    model = await model_of(request, name, version)
    is_small = len(await request.body()) <= SMALL_BYTES
    with PREDICT_SECONDS.time():
        outputs = await predictions.predict(model, body.inputs, body.options, is_small=is_small)
    INPUTS.observe(len(outputs))
    return {"model": name, "version": model.version, "outputs": outputs}
