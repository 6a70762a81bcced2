"""The Open Inference Protocol as NVIDIA's own client speaks it, over a socket, against our predict."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException

from services.embedded.servers import Servers
from services.inference.app import create_app
from shared.data.encoding import Encoding
from shared.db.engine import transaction
from shared.db.models import ModelStore
from shared.nn.kernels.ready import warm_up
from tests.integration.api.serving import served
from tests.integration.inference.publishing import INPUTS, KINDS, WRITING, publish
from tests.integration.seeding import settings
from tests.servers import empty_valkey_database, fresh_database

WRITTEN_FROM = {
    "rewritten": "abca",
    "from a category": "a",
    "of another length": [1, 2.5, 2],
    "vector to class": [1, 2.5],
    "list to list": ["C", "E", "C"],
}
TENSORS = ("input", "lengths")
PATIENCE_S = 60.0  # on a machine with much else to do


@pytest.fixture(scope="module")
def url(_migrated_template: Servers) -> Iterator[str]:
    """One model a kind of target, served."""
    with (
        fresh_database(_migrated_template) as database,
        empty_valkey_database(_migrated_template) as broker,
        settings(database_url=database, redis_url=broker),
    ):
        for kind in (*KINDS, *WRITING):
            publish(name_of(kind), kind)
        warm_up()  # else the first answers wait for it
        with served(create_app()) as url:
            yield url


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[triton.InferenceServerClient]:
    where = url.removeprefix("http://")
    with triton.InferenceServerClient(where, network_timeout=PATIENCE_S) as client:
        yield client


def name_of(kind: str) -> str:
    return kind.replace(" ", "-")


def raw_of(kind: str) -> Any:
    return WRITTEN_FROM.get(kind) or INPUTS[kind]


def rows_of(kind: str) -> list[Any]:
    """Three raw inputs, of different lengths where there are any."""
    raw = raw_of(kind)
    if kind in ("from a category", "vector to class"):
        return [raw] * 3
    return [raw, raw[:1], raw[:2]]


def encoding_of(kind: str) -> Encoding:
    with transaction() as db:
        return Encoding.model_validate(ModelStore(db).version(name_of(kind)).encoding)


def arrays_of(kind: str, rows: list[Any]) -> dict[str, np.ndarray]:
    """The input tensors of raw inputs, padded with what must not be read."""
    part = encoding_of(kind).input
    if part.kind == "vector":
        return {"input": np.array(rows, np.float32)}
    if part.kind == "category" or isinstance(rows[0], str):
        return {"input": np.array([row.encode() for row in rows], dtype=object)}
    lengths = np.array([len(row) for row in rows])
    if part.kind == "tokens":
        padded = np.full((len(rows), lengths.max()), b"PADDING", dtype=object)
        for index, row in enumerate(rows):
            padded[index, : len(row)] = [symbol.encode() for symbol in row]
    else:
        padded = np.full((len(rows), lengths.max(), part.size), 77, np.float32)
        for index, row in enumerate(rows):
            padded[index, : len(row)] = np.reshape(np.array(row, np.float32), (-1, part.size))
    return {"input": padded, "lengths": lengths}


TYPES = {"f": "FP32", "O": "BYTES", "i": "INT64"}


def tensors_of(arrays: dict[str, np.ndarray], *, binary: bool = True) -> list[Any]:
    found = []
    for name, array in arrays.items():
        tensor = triton.InferInput(name, list(array.shape), TYPES[array.dtype.kind])
        tensor.set_data_from_numpy(array, binary_data=binary)
        found.append(tensor)
    return found


def predicted(url: str, kind: str, rows: list[Any], **options: Any) -> list[dict[str, Any]]:
    body = {"inputs": rows, "options": options}
    answer = httpx.post(f"{url}/v1/models/{name_of(kind)}/predict", json=body, timeout=PATIENCE_S)
    assert answer.status_code == 200, answer.text
    outputs: list[dict[str, Any]] = answer.json()["outputs"]
    return outputs


def decoded(item: bytes | str) -> str:
    """The client gives bytes from binary, and strings from JSON."""
    return item.decode() if isinstance(item, bytes) else item


def check(kind: str, result: Any, expected: list[dict[str, Any]]) -> None:
    """Output tensors say what predict says, row by row, and nothing but padding behind."""
    encoding = encoding_of(kind)
    steps = result.as_numpy("lengths")
    for row, answer in enumerate(expected):
        for name, value in answer.items():
            given = result.as_numpy({"labels": "label", "value": "values"}.get(name, name))[row]
            if steps is not None and name != "score":
                assert not any(np.ravel(given[steps[row] :]))
                given = given[: steps[row]]
            if name in ("label", "text"):
                assert decoded(given) == value
            elif name in ("labels", "tokens"):
                assert [decoded(item) for item in given] == value
            elif isinstance(value, dict):
                named = [value[label] for label in encoding.labels]
                assert given == pytest.approx(np.array(named), abs=1e-6)
            elif name == "probabilities" and encoding.output_kind == "categorical":
                assert given.max(-1) == pytest.approx(np.array(value), abs=1e-6)
                assert given.sum(-1) == pytest.approx(1, abs=1e-5)
            else:
                found = np.reshape(np.array(value), np.shape(given))
                assert given == pytest.approx(found, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("kind", [*KINDS, *WRITING])
def test_tensors_say_what_predict_says_in_binary_and_in_json(
    url: str, client: triton.InferenceServerClient, kind: str
) -> None:
    rows = rows_of(kind)
    expected = predicted(url, kind, rows)
    arrays = arrays_of(kind, rows)
    names = [output["name"] for output in client.get_model_metadata(name_of(kind))["outputs"]]
    as_json = [triton.InferRequestedOutput(name, binary_data=False) for name in names]

    binary = client.infer(name_of(kind), tensors_of(arrays), request_id="the id")
    plain = client.infer(name_of(kind), tensors_of(arrays, binary=False), outputs=as_json)

    check(kind, binary, expected)
    check(kind, plain, expected)
    found = binary.get_response()
    assert (found["model_name"], found["model_version"]) == (name_of(kind), "1")
    assert found["id"] == "the id"
    assert "id" not in plain.get_response()
    assert all("binary_data_size" in output["parameters"] for output in found["outputs"])
    assert all("data" in output for output in plain.get_response()["outputs"])


@pytest.mark.parametrize("kind", [*KINDS, *WRITING])
def test_what_the_metadata_promise_is_what_comes(
    client: triton.InferenceServerClient, kind: str
) -> None:
    name = name_of(kind)
    metadata = client.get_model_metadata(name)
    config = client.get_model_config(name, "1")
    arrays = arrays_of(kind, rows_of(kind))
    response = client.infer(name, tensors_of(arrays)).get_response()

    assert metadata == client.get_model_metadata(name, "1")
    assert (metadata["name"], metadata["versions"]) == (name, ["1"])
    inputs = {tensor["name"]: tensor for tensor in metadata["inputs"]}
    assert set(arrays) <= set(inputs) <= set(TENSORS)
    given = [(tensor["name"], tensor["datatype"]) for tensor in response["outputs"]]
    assert given == [(tensor["name"], tensor["datatype"]) for tensor in metadata["outputs"]]
    shapes = zip(response["outputs"], metadata["outputs"], strict=True)
    for tensor, promised in shapes:
        assert len(tensor["shape"]) == len(promised["shape"])
        assert all(
            want in (-1, got) for want, got in zip(promised["shape"], tensor["shape"], strict=True)
        )
    assert [tensor["name"] for tensor in config["output"]] == [name for name, _ in given]
    assert [tensor["name"] for tensor in config["input"]] == list(inputs)
    assert config["max_batch_size"] == 1024


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_both_compressions_travel_both_ways(
    url: str, client: triton.InferenceServerClient, coding: str
) -> None:
    rows = rows_of("class")
    result = client.infer(
        "class",
        tensors_of(arrays_of("class", rows)),
        request_compression_algorithm=coding,
        response_compression_algorithm=coding,
    )

    check("class", result, predicted(url, "class", rows))
    body = {"inputs": [{"name": "input", "shape": [1], "datatype": "BYTES", "data": ["xyz"]}]}
    path = f"{url}/v2/models/tags/infer"
    headers = httpx.post(path, json=body, headers={"accept-encoding": coding}).headers
    assert headers["content-encoding"] == coding
    both = httpx.post(path, json=body, headers={"accept-encoding": "gzip, deflate"})
    assert "content-encoding" not in both.headers


def test_the_asynchronous_client_gets_the_same(url: str) -> None:
    async def ask() -> list[Any]:
        async with triton_aio.InferenceServerClient(url.removeprefix("http://")) as client:
            assert await client.is_server_live()
            assert await client.is_model_ready("class")
            found = [await client.infer(name_of(kind), inputs[kind]) for kind in inputs]
            plain = tensors_of(arrays_of("class", rows_of("class")), binary=False)
            packed = {"request_compression_algorithm": "deflate"}
            packed["response_compression_algorithm"] = "gzip"
            found.append(await client.infer("class", plain, **packed))
            with pytest.raises(InferenceServerException, match="no model 'nothing'"):
                await client.infer("nothing", plain)
            return found

    kinds = ("class", "regression", "tags", "next symbol", "rewritten")
    inputs = {kind: tensors_of(arrays_of(kind, rows_of(kind))) for kind in kinds}
    for kind, result in zip((*kinds, "class"), asyncio.run(ask()), strict=True):
        check(kind, result, predicted(url, kind, rows_of(kind)))


def test_asked_outputs_come_alone_and_classes_by_their_rank(
    url: str, client: triton.InferenceServerClient
) -> None:
    rows = rows_of("class")
    tensors = tensors_of(arrays_of("class", rows))
    asked = [triton.InferRequestedOutput("probabilities", binary_data=False, class_count=2)]
    result = client.infer("class", tensors, outputs=asked)

    [output] = result.get_response()["outputs"]
    assert (output["datatype"], output["shape"]) == ("BYTES", [3, 2])
    labels = encoding_of("class").labels
    expected = []
    for answer in predicted(url, "class", rows):
        for label, value in list(answer["probabilities"].items())[:2]:
            expected.append((pytest.approx(value, abs=1e-5), str(labels.index(label)), label))
    found = [text.split(":") for text in output["data"]]
    assert [(float(value), index, label) for value, index, label in found] == expected
    with pytest.raises(InferenceServerException, match="there are label, probabilities"):
        client.infer("class", tensors, outputs=[triton.InferRequestedOutput("logits")])


def test_parameters_are_generation_options(url: str, client: triton.InferenceServerClient) -> None:
    rows = ["abc", "ab"]
    tensors = tensors_of(arrays_of("next symbol", rows))
    wish = {"max_length": 6, "temperature": 1.5, "seed": 3}

    result = client.infer("next-symbol", tensors, parameters=wish)

    expected = predicted(url, "next symbol", rows, **wish)
    assert [text.decode() for text in result.as_numpy("text")] == [one["text"] for one in expected]
    for wrong, words in (({"max_lenght": 6}, "no such parameter"), ({"top_p": 7.0}, "top_p")):
        with pytest.raises(InferenceServerException, match=words):
            client.infer("next-symbol", tensors, parameters=wrong)
    with pytest.raises(InferenceServerException, match="no such parameter"):
        client.infer("next-symbol", tensors, timeout=1000)


def test_a_sequence_goes_on_from_request_to_request(
    url: str, client: triton.InferenceServerClient
) -> None:
    def read(text: str, **turn: Any) -> Any:
        found = client.infer("tags", tensors_of(arrays_of("tags", [text])), **turn)
        return found.as_numpy("probabilities")[0]

    whole = read("xyzxx")
    first = read("xy", sequence_id=7, sequence_start=True)
    other = read("zx", sequence_id="another", sequence_start=True)
    rest = read("zxx", sequence_id=7, sequence_end=True)

    np.testing.assert_allclose(np.concatenate([first, rest]), whole, atol=1e-5)
    np.testing.assert_allclose(other, read("zx"), atol=1e-5)
    assert "sequence(string_id)" in client.get_server_metadata()["extensions"]
    with pytest.raises(InferenceServerException, match="'7' has not begun"):
        read("x", sequence_id=7)
    two = tensors_of(arrays_of("tags", ["xyz", "x"]))
    with pytest.raises(InferenceServerException, match="one row"):
        client.infer("tags", two, sequence_id="a", sequence_start=True)


def test_server_and_models_say_how_they_are(url: str, client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("class")
    assert client.is_model_ready("class", "1")
    assert not client.is_model_ready("class", "7")
    assert not client.is_model_ready("nothing")
    server = client.get_server_metadata()
    assert server["name"] == "unroll"
    assert {"binary_tensor_data", "classification", "statistics"} <= set(server["extensions"])
    assert httpx.get(f"{url}/v2/").json() == httpx.get(f"{url}/v2").json() == server
    with pytest.raises(InferenceServerException, match="version '7' of model 'class'"):
        client.get_model_metadata("class", "7")


def test_the_repository_tells_what_is_in_memory_and_drops_it(
    client: triton.InferenceServerClient,
) -> None:
    def state() -> str:
        entries = {entry["name"]: entry for entry in client.get_model_repository_index()}
        assert len(entries) == len(KINDS) + len(WRITING)
        return str(entries["vector"]["state"])

    client.load_model("vector")
    loaded = state()
    client.unload_model("vector", unload_dependents=True)
    unloaded = state()

    assert (loaded, unloaded) == ("READY", "UNAVAILABLE")
    assert client.infer("vector", tensors_of(arrays_of("vector", [INPUTS["vector"]])))
    assert state() == "READY"
    with pytest.raises(InferenceServerException, match="load takes none"):
        client.load_model("vector", config="{}")
    with pytest.raises(InferenceServerException, match="no model"):
        client.unload_model("nothing")


def test_statistics_count_what_was_asked(client: triton.InferenceServerClient) -> None:
    def counted() -> dict[str, Any]:
        [found] = client.get_inference_statistics("multilabel", "1")["model_stats"]
        return dict(found)

    before = counted()
    for rows in (["xy"], ["xy", "x"], ["xyx", "yy"]):
        client.infer("multilabel", tensors_of(arrays_of("multilabel", rows)))
    with pytest.raises(InferenceServerException, match="empty"):
        client.infer("multilabel", tensors_of(arrays_of("multilabel", [""])))
    after = counted()

    assert after["inference_count"] - before["inference_count"] == 5
    assert after["execution_count"] - before["execution_count"] == 3
    assert after["last_inference"] > 1.7e12
    phases = after["inference_stats"]
    assert phases["success"]["count"] - before["inference_stats"]["success"]["count"] == 3
    assert phases["fail"]["count"] - before["inference_stats"]["fail"]["count"] == 1
    spent = [phases[f"compute_{phase}"]["ns"] for phase in ("input", "infer", "output")]
    assert all(ns > 0 for ns in spent)
    assert sum(spent) == phases["success"]["ns"]
    assert {batch["batch_size"] for batch in after["batch_stats"]} >= {1, 2}
    everyone = client.get_inference_statistics()["model_stats"]
    assert after in everyone


def generated(url: str, model: str, stream: bool, **body: Any) -> httpx.Response:
    path = f"{url}/v2/models/{model}/generate{'_stream' * stream}"
    return httpx.post(path, json=body, timeout=PATIENCE_S)


@pytest.mark.parametrize(
    ("kind", "text", "parameters"),
    [
        ("next symbol", "abc", {"max_length": 9, "seed": 5, "temperature": 2.0}),
        ("next symbol", "abc", {"max_length": 4}),
        ("stream", "to be", {"max_length": 12, "top_k": 5, "seed": 1}),
        ("rewritten", "abc", {"seed": 2}),
        ("rewritten", "abc", {"max_length": 5, "beam_size": 3}),
    ],
)
def test_a_text_is_written_whole_or_piece_by_piece(
    url: str, kind: str, text: str, parameters: dict[str, Any]
) -> None:
    [expected] = predicted(url, kind, [text], **parameters)
    wish = {"text_input": text, "parameters": parameters, "id": "7"}
    whole = generated(url, name_of(kind), False, **wish).json()
    stream = generated(url, name_of(kind), True, **wish)

    named = {"model_name": name_of(kind), "model_version": "1", "id": "7"}
    assert whole == {"text_output": expected["text"], **named}
    assert stream.headers["content-type"].startswith("text/event-stream")
    blocks = [
        httpx.Response(200, content=block[6:]).json() for block in stream.text.split("\n\n")[:-1]
    ]
    assert "".join(block["text_output"] for block in blocks) == expected["text"]
    assert [block["done"] for block in blocks] == [False] * (len(blocks) - 1) + [True]
    assert len(blocks) > 1


def test_a_model_without_text_generates_none(url: str) -> None:
    for model in ("class", "tags", "next-number", "of-another-length", "list-to-list"):
        answer = generated(url, model, True, text_input="x")
        assert answer.status_code == 422
        assert "writes no text" in answer.json()["error"]
