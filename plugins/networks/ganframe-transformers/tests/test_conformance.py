"""The conformance kit over everything that the package registers."""

import pytest

from ganframe.testing import conformance

pytest.importorskip("transformers", reason="transformers, an optional dependency of 165 MB, is not installed")

test_conformance = conformance("ganframe_transformers")
