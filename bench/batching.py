"""Does batching pay for a model: what a row costs alone and among others, and what waiting for the others costs.

`python bench/batching.py MODEL.onnx [REQUEST.json]` measures your own model with the rows of an infer request, or without one with
noise for numbers and a few words for texts, which a model with categories refuses. Without a model it measures two made ones, and fails unless batching pays for the first and does not for the second.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from custody.adapters.frameworks.onnx import OnnxModel
from custody.core.digest import digest_of
from custody.core.errors import InvalidInput
from custody.core.manifest import Target
from custody.core.refs import DeploymentKey, ModelRef
from custody.core.schema import Signature, Tensor
from custody.core.tenancy import TenantId
from custody.inference.batching import Batch
from custody.inference.metrics import Metrics
from custody.inference.models.library import Arm
from custody.inference.models.memory import Loaded, Slot
from custody.inference.models.scoring import Scored, score
from custody.inference.protocols.v2_request import read_request
from custody.serving import CaptureMode, check_inputs

SIZES = (1, 4, 16, 64)
CALLERS = 16  # requests that wait at once
PAYS = 0.8  # of the CPU of a request alone: anything above is within the noise of a shared machine
ROUNDS, LEAST_S = 7, 0.05
Arrays = dict[str, NDArray[Any]]
T = TypeVar("T")


@dataclass(frozen=True)
class Subject:
    """A model, and one row for it."""

    name: str
    model: OnnxModel
    signature: Signature
    row: Arrays


def cpu_of(work: Callable[[], object]) -> float:
    """Return the CPU seconds of one call, from as many as take a while."""
    work()
    count, started = 0, time.process_time()
    while time.process_time() - started < LEAST_S:
        work()
        count += 1
    return (time.process_time() - started) / count


def many(row: Arrays, n: int) -> Arrays:
    """Return n rows."""
    return {name: np.concatenate([values] * n) for name, values in row.items()}


async def _away(work: Callable[[], T]) -> T:
    return work()


def measured(subject: Subject) -> float:
    """Print what a row costs in batches, and return a request's CPU in batches of CALLERS, over its CPU alone, in the worst round."""
    rows = {n: many(subject.row, n) for n in SIZES}
    name = (subject.signature.score,)
    costs = {n: cpu_of(lambda n=n: subject.model.run(rows[n], name)) / n for n in SIZES}  # type: ignore[misc]
    print(f"{subject.name}: us a row: " + ", ".join(f"{1e6 * cost:.1f} at b={n}" for n, cost in costs.items()))
    target = Target(ModelRef("model", 1), digest_of(b""), subject.signature, 0.5, None)
    key = DeploymentKey(TenantId("team"), "prod", "model")
    arm = Arm(key, 1, CaptureMode.LIVE, target, Slot(target), str(key), {}, b"")
    loaded = Loaded(subject.model, 0.0)

    async def alone() -> None:
        await asyncio.gather(*(_answered(arm, loaded, subject.row) for _ in range(CALLERS)))

    async def together() -> None:
        batch = Batch(arm, CALLERS, 0.0003, away=_away, inline_s=1.0, metrics=Metrics())
        await asyncio.gather(*(batch.scored(loaded, subject.row, 1, ()) for _ in range(CALLERS)))

    with asyncio.Runner() as runner:
        pairs = [(cpu_of(lambda: runner.run(together())), cpu_of(lambda: runner.run(alone()))) for _ in range(ROUNDS)]
    ratios = sorted(one / two for one, two in pairs)
    verdict = "pays" if ratios[-1] < PAYS else "does not pay"
    print(
        f"{subject.name}: {CALLERS} requests together / alone: CPU x {median(ratios):.2f} [{ratios[0]:.2f}-{ratios[-1]:.2f}]:"
        f" batching {verdict}; a request may wait up to its max_wait_us for that"
    )
    return ratios[-1]


async def _answered(arm: Arm, loaded: Loaded, row: Arrays) -> Scored:
    return score(arm, loaded, row)


def made(name: str, width: int, layers: int) -> Subject:
    """Return a dense network: wide layers have weights that are read for every run, however many rows it has."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(1)
    sizes = [width] * layers + [1]
    nodes, weights, last = [], [], "x"
    for number, (rows, columns) in enumerate(zip([width, *sizes[:-1]], sizes, strict=True)):
        weights.append(numpy_helper.from_array(rng.normal(0, width**-0.5, (rows, columns)).astype(np.float32), f"w{number}"))
        nodes.append(helper.make_node("MatMul", [last, f"w{number}"], [f"m{number}"]))
        last = f"a{number}"
        nodes.append(helper.make_node("Sigmoid" if columns == 1 else "Relu", [f"m{number}"], [last]))
    shapes = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [None, w]) for n, w in (("x", width), (last, 1))]
    graph = helper.make_graph(nodes, "made", shapes[:1], shapes[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    signature = Signature((Tensor("x", "FP32", (-1, width)),), (Tensor(last, "FP32", (-1, 1)),), last, ("no", "yes"))
    row = {"x": rng.normal(size=(1, width)).astype(np.float32)}
    return Subject(name, OnnxModel(model.SerializeToString(), signature), signature, row)


def words(terms: int = 20_000) -> Subject:
    """Return TF-IDF with logistic regression over invented words, whose cost is each text's own."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import StringTensorType
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    rng = np.random.default_rng(1)
    vocabulary = ["".join(rng.choice(list("abcdefghijklmnop"), 6)) for _ in range(terms)]
    texts = [" ".join(rng.choice(vocabulary, 300)) for _ in range(600)]
    learner = make_pipeline(TfidfVectorizer(lowercase=False, token_pattern="[a-z]+"), LogisticRegression())
    learner.fit(texts, rng.integers(0, 2, len(texts)))
    body = to_onnx(learner, initial_types=[("text", StringTensorType([None, 1]))], options={"zipmap": False}).SerializeToString()
    signature = Signature(
        (Tensor("text", "BYTES", (-1, 1)),), (Tensor("probabilities", "FP32", (-1, 2)),), "probabilities", ("no", "yes")
    )
    return Subject("text", OnnxModel(body, signature), signature, {"text": np.array([[texts[0]]], dtype=object)})


def given(path: Path, request: Path | None) -> Subject:
    """Return a model of the user's, with the rows of a request, or a made-up row that fits its inputs; InvalidInput if it refuses."""
    import onnxruntime

    kinds = {"float": "FP32", "double": "FP64", "int32": "INT32", "int64": "INT64", "bool": "BOOL", "string": "BYTES"}
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])

    def tensors(nodes: Sequence[Any]) -> tuple[Tensor, ...]:
        shapes = [(-1, *(d if isinstance(d, int) else 1 for d in node.shape[1:])) for node in nodes]
        return tuple(Tensor(node.name, kinds[node.type[7:-1]], shape) for node, shape in zip(nodes, shapes, strict=True))

    inputs, outputs = tensors(session.get_inputs()), tensors(session.get_outputs())
    signature = Signature(inputs, outputs, outputs[-1].name, ("no", "yes"))
    model = OnnxModel(path.read_bytes(), signature)
    if request is not None:
        rows, _ = check_inputs(signature, read_request(request.read_bytes(), None).tensors)
        return Subject(path.name, model, signature, rows)
    rng, row = np.random.default_rng(1), Arrays()
    for tensor, node in zip(inputs, session.get_inputs(), strict=True):
        shape = (1, *tensor.shape[1:])
        dtype = {"tensor(float)": "f4", "tensor(double)": "f8", "tensor(int32)": "i4", "tensor(int64)": "i8"}.get(node.type, "?")
        noise = rng.normal(size=shape)
        row[tensor.name] = np.full(shape, "a few words", object) if tensor.datatype == "BYTES" else noise.astype(dtype)
    try:
        model.run(row)
    except InvalidInput as error:
        raise InvalidInput(
            f"{path.name} refuses a made-up row.",
            why=f"{error.what} {error.why}".strip(),
            fix="Give a request that it takes: ARGS='model.onnx request.json', as sent to /infer.",
        ) from error
    return Subject(path.name, model, signature, row)


def main(arguments: Sequence[str]) -> int:
    """Measure; the exit code is 1 if a made model does not behave as it should."""
    if arguments:
        try:
            measured(given(Path(arguments[0]), Path(arguments[1]) if len(arguments) > 1 else None))
        except InvalidInput as error:
            print(error, file=sys.stderr)
            return 2
        return 0
    wide, text = measured(made("wide network", 1024, 4)), measured(words())
    return 0 if wide < PAYS <= text else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
