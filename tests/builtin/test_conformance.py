"""The conformance kit over the components of the core itself."""

from ganframe.testing import conformance

test_conformance = conformance("ganframe")
