"""The conformance kit over everything that the package registers."""

from ganframe.testing import conformance

test_conformance = conformance("ganframe_image_metrics")
