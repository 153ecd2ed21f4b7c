#!/bin/sh
# A few injected faults into a whole small study; `make faults` does thousands.
exec "${PERCEPT:-build/percept}" tests/faults/inject.lua "${BUILD:-build}/tests/faults/shim.so" "${FAULTS:-32}" "${SEED:-1}"
