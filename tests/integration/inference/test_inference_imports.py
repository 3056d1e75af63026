"""The data plane stays small: what it must not import is not imported."""

import subprocess
import sys


def test_the_inference_process_imports_no_web_framework_database_or_training_framework() -> None:
    heavy = "fastapi starlette pydantic sqlalchemy sklearn pandas pyarrow onnx skl2onnx scipy re2 custody.lifecycle custody.web"
    program = f"import sys, custody.bootstrap.inference; print([m for m in '{heavy}'.split() if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
