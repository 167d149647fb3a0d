# Every target is one line that a person could type in .venv.
PYTHON ?= python3
RUN = .venv/bin/
PACKAGES = kernels $(patsubst %/,%,$(dir $(wildcard plugins/*/*/pyproject.toml)))

.PHONY: install demo test test-core test-plugin test-slow guarantees mutants check bench bench-data docs gpu schema sync

install: .venv/.installed

# torch comes first and by pip: it decides the build (CPU or CUDA) that everything after it finds installed.
.venv/.installed: constraints.txt pyproject.toml $(PACKAGES:%=%/pyproject.toml)
	$(PYTHON) -m venv .venv
	$(RUN)pip install --quiet --disable-pip-version-check -c constraints.txt torch uv
	$(RUN)uv pip install --quiet --compile-bytecode --python $(RUN)python -c constraints.txt --group dev $(PACKAGES:%=-e %) -e .[testing]
	touch $@

demo: install
	$(RUN)ganframe train conditional-dcgan-digits

# Kernels run in Triton's interpreter, which is chosen for a whole process. Tests share the cores by files, a thread each.
test: install
	export OMP_NUM_THREADS=1 && $(RUN)python -m pytest -n auto --dist loadfile && $(RUN)python -m pytest -n auto --dist loadfile kernels

# The edit loop: the core alone, or one package: make test-plugin NAME=hinge
test-core: install
	$(RUN)python -m pytest tests

test-plugin: install
	$(RUN)python -m pytest plugins/*/ganframe-$(NAME)

test-slow: install
	$(RUN)python -m pytest -m slow && $(RUN)python -m pytest -m slow kernels

# Every proof of what is promised, with its full counts, and the page that says what they measured.
guarantees: install
	$(RUN)python -m pytest tests/guarantees -m "not gpu" --write-figures && $(RUN)python scripts/guarantees_page.py

check: install
	$(RUN)ruff check . && $(RUN)ruff format --check . && $(RUN)basedpyright && $(RUN)lint-imports --config importlinter.toml && $(RUN)python scripts/sync.py --check && $(RUN)python scripts/reference_pages.py --check && $(RUN)python scripts/guarantees_page.py --check

bench: install
	$(RUN)python tests/benchmarks/trainer_step.py

bench-data: install
	$(RUN)python tests/benchmarks/data_sources.py

docs: install
	$(RUN)mkdocs build --strict

gpu: install
	$(RUN)python scripts/gpu.py

schema: install
	$(RUN)ganframe schema --out ganframe.schema.json

# Everything that is generated from what the packages register: versions, import contracts, the directory, pages.
sync: install
	$(RUN)python scripts/sync.py && $(RUN)python scripts/reference_pages.py

# Small wrong changes in the core, one at a time; prints those that no test notices. Takes about half an hour.
mutants: install
	$(RUN)python scripts/mutants.py
