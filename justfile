# What is done often. `just` alone lists it. Everything here is one plain command: just itself is not needed.

set shell := ["bash", "-euo", "pipefail", "-c"]

# List what there is
default:
    @just --list

# Format and lints, changing nothing
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# Repair what can be repaired by itself
fix:
    cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged
    cargo fmt --all

# All tests, or those of a name: just test snapshot
test *words:
    cargo test --workspace {{ words }}

# All that must hold before a change is taken
ci:
    .ci/run

# The benchmarks, or those of a name: just bench --bench stock
bench *words:
    cargo bench {{ words }}

# Scenarios on a real server, audited: just load load-tests/scenarios/*.toml --scale 0.1
load *words="load-tests/scenarios/*.toml --scale 0.1":
    cargo build --release --workspace
    target/release/load-tests run {{ words }}

# What clients see of a server that is killed and stopped in its tracks, checked for linearizability: just history --for 5m
history *words:
    cargo build --release --workspace
    target/release/load-tests history {{ words }}

# Everything at once with restarts in between, audited, and whether memory grows: just soak --for 30m
soak *words:
    cargo build --release --workspace
    target/release/load-tests soak {{ words }}

# Stockade beside an empty handler, Redis and PostgreSQL: 15 pairs of 5 s a row; with --quick few and short ones
compare *words:
    cargo build --release --workspace
    target/release/load-tests compare {{ words }}

# Instructions of the hot path against the baseline; with --renew, a new baseline
instructions *words:
    .ci/instructions.py {{ words }}

# The models as .ci/run runs them: every interleaving up to a bound, and random schedules
models:
    RUSTFLAGS='--cfg loom' cargo test -p stockade-models --target-dir target/loom
    RUSTFLAGS='--cfg shuttle' cargo test -p stockade-models --target-dir target/shuttle

# Every interleaving of the stock counter and of the journal's hand-off up to a deeper bound: minutes to hours
loom preemptions="5":
    LOOM_MAX_PREEMPTIONS={{ preemptions }} RUSTFLAGS='--cfg loom' cargo test -p stockade-models --target-dir target/loom --test shipped --test handoff

# The same in random schedules, a number of them for each scenario, from a seed: just shuttle 1000000 7
shuttle schedules="1000000" seed="2":
    STOCKADE_SCHEDULES={{ schedules }} STOCKADE_SCHEDULES_SEED={{ seed }} RUSTFLAGS='--cfg shuttle' cargo test -p stockade-models --target-dir target/shuttle

# libFuzzer on a target of fuzz/, for a minute: just fuzz journal; or longer: just fuzz journal 3600
fuzz target seconds="60":
    mkdir -p target/fuzz-corpus/{{ target }}
    cargo +nightly fuzz run --fuzz-dir fuzz/libfuzzer --target-dir target/libfuzzer {{ target }} target/fuzz-corpus/{{ target }} fuzz/corpus/{{ target }} -- -max_total_time={{ seconds }} -max_len=65536

# The whole engine simulated from a number of seeds: just simulate 100000 --from 1000
simulate seeds="10000" *words:
    cargo run --release -p stockade-simulation -- --seeds {{ seeds }} --jobs "$(nproc)" {{ words }}

# A server, a drop, a herd and an audit in one
demo *words:
    cargo run --release -- demo {{ words }}

# A server on the usual ports, with its data in ./stockade-data
serve *words:
    cargo run --release -- serve {{ words }}
