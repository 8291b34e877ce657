# Short names for what is done often; the work is in CMake (CMakePresets.json) and in the scripts called here.

# The program, optimized: build/release/syncgate
all:
	@deploy/install-deps.sh
	@[ -f build/release/CMakeCache.txt ] || cmake --preset release
	@cmake --build build/release --parallel

# The program on 127.0.0.1:8080 with a Redis of its own; deploy/run says more
run:
	@deploy/run

# Everything that is checked: tests/run unit, lint, integration or browser for a part
test:
	@tests/run

# Measurements
bench: all
	@bench/run

format:
	@tests/lint/format --fix

lint:
	@tests/run lint

coverage:
	@tests/coverage

# The libraries in build/deps stay
clean:
	@find build -mindepth 1 -maxdepth 1 ! -name deps -exec rm -rf {} +

.PHONY: all run test bench format lint coverage clean
