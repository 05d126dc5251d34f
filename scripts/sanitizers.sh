#!/usr/bin/env bash
# Runs native/core's tests under Miri and AddressSanitizer, and the library's own tests of the addon with an addon under
# AddressSanitizer. On demand, not part of `npm test`: all need the nightly compiler and build everything once more.
#
#   rustup toolchain install nightly --component miri,rust-src
#   scripts/sanitizers.sh [miri|address|addon]
set -euo pipefail
cd "$(dirname "$0")/.."

# Miri interprets Rust alone: no C, no mmap. So it runs what reads and writes records and judges ids, and neither the
# cipher nor the guarded memory, which AddressSanitizer covers. The larger tables of refusals would take it hours.
miri() {
  # The corpus is a folder, which is outside of the interpreter.
  export MIRIFLAGS='-Zmiri-disable-isolation'
  # Of a property's usual 256 cases, one test would take five minutes.
  export PROPTEST_CASES=8
  # What is skipped reads 64 MiB.
  cargo +nightly miri test --locked -p asherah-core --test gate --test record_reader --test record_writer -- \
    --skip the_payload_limit_is_exact_and_costs_nothing
  cargo +nightly miri test --locked -p asherah-core --test fuzz_targets -- any_bytes_as_a_record
  # Miri's processor has no AVX-512, so this is what other processors do. What is skipped would take it hours.
  cargo +nightly miri test --locked -p asherah-core --lib record::base64 -- \
    --skip every_byte_at_every_place --skip a_large_text
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

# The addon in a Node whose memory the sanitizer allocates: whatever of it reaches beyond a JavaScript buffer, a slab or a text,
# or into freed memory, ends the process and so its test.
#
# Not run: wiping.test.ts, which reads all of a process's memory; what its child does, collecting plaintexts, is. Memory that was
# freed is kept for 16 MB only, because a test bounds what a process holds.
addon() {
  local target=x86_64-unknown-linux-gnu work=$PWD/build/sanitizers
  local library=$work/packages/asherah runtime=$work/runtime
  export PATH="$PWD/node_modules/node/bin:$PATH"
  RUSTFLAGS='-Zsanitizer=address' \
    cargo +nightly build --locked -p asherah-node --profile test --target "$target" --target-dir "$work/target"
  rm -rf "$work/packages"
  mkdir -p "$library/native"
  cp -r packages/asherah/{package.json,src,test} "$library/"
  rm "$library/test/native/wiping.test.ts"
  ln -sfn "$PWD/native" "$work/native"
  cp "$work/target/$target/debug/libasherah_node.so" \
    "$library/native/$(node -p '`asherah.${process.platform}-${process.arch}.node`')"

  # Rust links the runtime into programs. Node is none of Rust's, so it gets the runtime as a library, without what starts it in
  # a program; called libasan.so, it would be taken for a second one.
  cp "$(rustc +nightly --print target-libdir --target "$target")/librustc-nightly_rt.asan.a" "$runtime.a"
  ar d "$runtime.a" asan_preinit.cpp.o
  cc -shared -o "$runtime.so" -Wl,--whole-archive "$runtime.a" -Wl,--no-whole-archive -lpthread -ldl -lm -lrt

  local steps=(encrypt encryptOnPool encryptText decrypt clear decrypt collect decryptLarge collect decryptOnPool collect
    decrypt collectInOneTurn decryptString decryptStringOnPool decryptText decryptLargeText collect decryptLargeTextOnPool collect
    canary)
  local -x ASAN_OPTIONS='detect_leaks=0:quarantine_size_mb=16' LD_PRELOAD="$runtime.so"
  node --test "$library"/test/{,attacks/,native/}*.test.ts
  printf '%s\n' "${steps[@]}" | node --expose-gc "$library/test/native/wiping-child.ts" 3</dev/null
}

case "${1:-all}" in
  miri) miri ;;
  address) address ;;
  addon) addon ;;
  all)
    miri
    address
    addon
    ;;
  *)
    echo "sanitizers.sh: '$1' is none of miri, address and addon" >&2
    exit 2
    ;;
esac
