"""What is compiled, where there is a C compiler; all the rest is said in pyproject.toml."""

import sysconfig

import numpy as np
from setuptools import Extension, setup

NAMES = "custody.core.measures._buckets", "custody.inference.captures._journal"
IS_LIMITED = not sysconfig.get_config_var("Py_GIL_DISABLED")  # such a Python has no API of one build for every version

setup(
    ext_modules=[
        Extension(
            name,
            [f"src/{name.replace('.', '/')}.c"],
            include_dirs=[np.get_include()],
            libraries=["m"],
            define_macros=[("Py_LIMITED_API", "0x030b0000")] if IS_LIMITED else [],
            py_limited_api=IS_LIMITED,
            optional=True,  # without them Python alone writes captures and counts their rows, which costs more
        )
        for name in NAMES
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if IS_LIMITED else {},
)
