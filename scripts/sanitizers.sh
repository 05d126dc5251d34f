#!/usr/bin/env bash
# Runs native/core's tests under Miri and AddressSanitizer. On demand, not part of `npm test`: both need the nightly compiler
# and build everything once more.
#
#   rustup toolchain install nightly --component miri,rust-src
#   scripts/sanitizers.sh [miri|address]
set -euo pipefail
cd "$(dirname "$0")/.."

# Miri interprets Rust alone: no C, no mmap. So it runs what reads and writes records and judges ids, and neither the
# cipher nor the guarded memory, which AddressSanitizer covers. The larger tables of refusals would take it hours.
miri() {
  # The corpus is a folder, which is outside of the interpreter.
  export MIRIFLAGS='-Zmiri-disable-isolation'
  # What is skipped reads 64 MiB.
  cargo +nightly miri test --locked -p asherah-core --test gate --test record_reader --test record_writer -- \
    --skip the_payload_limit_is_exact_and_costs_nothing
  cargo +nightly miri test --locked -p asherah-core --test fuzz_targets -- any_bytes_as_a_record
}

# Not run, each with its reason:
# - memory::tests::limits and pages_are_locked_…: the sanitizer makes mlock do nothing;
# - nothing_of_a_key_rests_outside_the_arena: it reads all of its own memory, and the sanitizer's shadow is terabytes.
# Tests whose child touches a guard page or dies by a signal on purpose want the kernel's own signal; and in a forked child the
# search for leaks finds what its parent's threads hold.
address() {
  export RUSTFLAGS='-Zsanitizer=address'
  export ASAN_OPTIONS='handle_segv=0:handle_sigbus=0:handle_abort=0:detect_leaks=0'
  cargo +nightly test --locked -p asherah-core --target x86_64-unknown-linux-gnu --lib --tests --no-fail-fast -- \
    --skip memory::tests::limits:: \
    --skip pages_are_locked_and_stay_out_of_dumps_and_children \
    --skip nothing_of_a_key_rests_outside_the_arena
}

case "${1:-all}" in
  miri) miri ;;
  address) address ;;
  all)
    miri
    address
    ;;
  *)
    echo "sanitizers.sh: '$1' is neither miri nor address" >&2
    exit 2
    ;;
esac
