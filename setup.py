"""What is compiled, where there is a C compiler; all the rest is said in pyproject.toml."""

import numpy as np
from setuptools import Extension, setup

JOURNAL = "custody.inference.captures._journal"

setup(
    ext_modules=[
        Extension(
            JOURNAL,
            [f"src/{JOURNAL.replace('.', '/')}.c"],
            include_dirs=[np.get_include()],
            py_limited_api=True,
            optional=True,  # without it captures are written by Python alone, which costs more
        )
    ]
)
