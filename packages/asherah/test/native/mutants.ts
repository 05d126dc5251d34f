/** A change in a Rust crate that breaks one promise, and the tests that must notice. `scripts/native-copy.ts` makes it. */
export interface RustMutant<Test> {
  /** The promise, as broken. */
  readonly name: string
  /** Under `src` of the crate. */
  readonly file: string
  /** Exact text, found once. */
  readonly from: string
  /** What it becomes in the copy that is tested: it does what `from` does unless `BROKEN`, an expression, is true. */
  readonly to: string
  readonly tests: readonly Test[]
}

/** Of `native/core`. */
export type NativeMutant = RustMutant<NativeReference>

/** A test by its target, `lib` or a file of `native/core/tests` without its ending, and its name. */
export type NativeReference = readonly [target: string, name: string]

function ring(name: string): NativeReference {
  return ['ring_semantics', name]
}

function session(name: string): NativeReference {
  return ['session_records', name]
}

function refusal(name: string): NativeReference {
  return ['record_refusals', name]
}

function slot(name: string): NativeReference {
  return ['lib', `memory::tests::slots::${name}`]
}

const flippedBits: readonly NativeReference[] = [
  session('any_flipped_bit_is_a_typed_fault_and_leaves_zeroes'),
  ['memory_properties', 'each_flipped_bit_is_noticed_and_nothing_is_left_of_the_plaintext'],
  ['memory_vectors', 'wycheproof_vectors_open'],
]

export const nativeMutants: readonly NativeMutant[] = [
  {
    name: 'the partition gate is skipped',
    file: 'session.rs',
    from: 'self.pin.ring.gate().admits(&cell.id()[..self.pin.core_len], &record.key_id)',
    to: 'BROKEN || self.pin.ring.gate().admits(&cell.id()[..self.pin.core_len], &record.key_id)',
    tests: [session('the_gate_stands_before_the_ring')],
  },
  {
    name: 'the partition gate compares the front only',
    file: 'gate.rs',
    from: 'if rest.is_empty() {',
    to: 'if BROKEN || rest.is_empty() {',
    tests: [
      ['gate', 'without_a_suffix_only_the_own_id_passes'],
      ['gate', 'with_a_suffix_own_configured_and_region_shaped_ones_pass'],
      session('the_gate_stands_before_the_ring'),
    ],
  },
  {
    name: 'a region may have an underscore, and so reach into another partition',
    file: 'gate.rs',
    from: "byte.is_ascii_alphanumeric() || byte == b'-'",
    to: "byte.is_ascii_alphanumeric() || byte == b'-' || (BROKEN && byte == b'_')",
    tests: [['gate', 'with_a_suffix_own_configured_and_region_shaped_ones_pass']],
  },
  {
    name: 'a check is never due',
    file: 'ring/freshness.rs',
    from: 'if mono_ms < self.fresh.check_after_ms {',
    to: 'if BROKEN || mono_ms < self.fresh.check_after_ms {',
    tests: [
      ring('checks_are_due_once_and_overdue_later'),
      session('the_question_of_a_due_check_is_the_records'),
    ],
  },
  {
    name: 'a check is never overdue',
    file: 'ring/freshness.rs',
    from: 'if mono_ms < self.fresh.overdue_after_ms || tolerant {',
    to: 'if BROKEN || mono_ms < self.fresh.overdue_after_ms || tolerant {',
    tests: [ring('checks_are_due_once_and_overdue_later')],
  },
  {
    name: 'every caller is told to make the check',
    file: 'ring/freshness.rs',
    from: 'due: self.claim(mono_ms)',
    to: 'due: self.claim(mono_ms) || BROKEN',
    tests: [ring('checks_are_due_once_and_overdue_later')],
  },
  {
    name: 'a failed check opens no back-off',
    file: 'ring/freshness.rs',
    from: 'self.back_off_until_ms = until_ms;',
    to: 'self.back_off_until_ms = if BROKEN { 0 } else { until_ms };',
    tests: [ring('a_failed_check_opens_a_back_off')],
  },
  {
    name: 'a revoked generation encrypts',
    file: 'ring/cell.rs',
    from: '!generation.revoked &&',
    to: '(BROKEN || !generation.revoked) &&',
    tests: [ring('the_latest_key_is_used_until_it_expires_or_is_revoked')],
  },
  {
    name: 'an expired generation encrypts',
    file: 'ring/cell.rs',
    from: 'now.wall_ms < generation.expires_at_ms',
    to: '(BROKEN || now.wall_ms < generation.expires_at_ms)',
    tests: [ring('the_latest_key_is_used_until_it_expires_or_is_revoked')],
  },
  {
    name: 'a check’s finding that a key is revoked is not taken over',
    file: 'ring/cell.rs',
    from: 'generation.revoked = standing.revoked;',
    to: 'generation.revoked = !BROKEN && standing.revoked;',
    tests: [ring('the_latest_key_is_used_until_it_expires_or_is_revoked')],
  },
  {
    name: 'a closed ring takes keys',
    file: 'ring/mod.rs',
    from: `if store.is_closed() {
            return Err(Fault::Closed);
        }
        store.put`,
    to: `if store.is_closed() && !BROKEN {
            return Err(Fault::Closed);
        }
        store.put`,
    tests: [ring('a_closed_ring_is_empty_and_stays_so')],
  },
  {
    name: 'a wrong tag is overlooked',
    file: 'aead.rs',
    from: `        plain.fill(0);
        Err(WrongTag)
    }

    /// Opens \`ciphertext`,
    to: `        plain.fill(0);
        if BROKEN { Ok(()) } else { Err(WrongTag) }
    }

    /// Opens \`ciphertext`,
    tests: [...flippedBits, ['lib', 'aead::tests::wycheproof_vectors']],
  },
  {
    name: 'a nonce is used again',
    file: 'memory/generator.rs',
    from: 'self.fill(arena, &mut nonce)?;',
    to: 'if !BROKEN { self.fill(arena, &mut nonce)?; }',
    tests: [['memory_properties', 'nothing_random_comes_twice']],
  },
  {
    name: 'the generator gives out the same bytes after each refill',
    file: 'memory/generator.rs',
    from: 'state.key.copy_from_slice(&state.buffer[..KEY]);',
    to: 'if !BROKEN { state.key.copy_from_slice(&state.buffer[..KEY]); }',
    tests: [['memory_properties', 'nothing_random_comes_twice']],
  },
  {
    name: 'something is left in the output of a call that failed',
    file: 'memory/key.rs',
    from: 'if result.is_err() {\n        out.fill(0);',
    to: 'if result.is_err() && !BROKEN {\n        out.fill(0);',
    tests: [['memory_properties', 'lengths_that_do_not_fit_are_faults']],
  },
  {
    name: 'an imported key stays in the caller’s memory',
    file: 'memory/key.rs',
    from: 'zero(bytes.as_mut_ptr(), bytes.len())',
    to: 'zero(bytes.as_mut_ptr(), if BROKEN { 0 } else { bytes.len() })',
    tests: [
      ['memory_properties', 'a_wrapped_key_comes_back'],
      ['memory_vectors', 'nist_vectors_open'],
    ],
  },
  {
    name: 'the data row key of a call stays in its slot',
    file: 'memory/workspace.rs',
    from: 'workspace.work.wipe();',
    to: 'if !BROKEN { workspace.work.wipe(); }',
    tests: [slot('work_slots_are_zero_after_every_operation')],
  },
  {
    name: 'a dropped key stays in its hot slot',
    file: 'memory/hot.rs',
    from: 'unsafe { entry.place.wipe() };',
    to: 'if !BROKEN { unsafe { entry.place.wipe() } }',
    tests: [slot('a_freed_slot_is_zero')],
  },
  {
    name: 'a hot slot keeps the raw key beside the expanded one',
    file: 'memory/hot.rs',
    from: 'self.entry.place.wipe_raw();',
    to: 'if !BROKEN { self.entry.place.wipe_raw(); }',
    tests: [slot('a_freed_slot_is_zero')],
  },
  {
    name: 'a member may be given twice',
    file: 'record/reader.rs',
    from: 'Some(_) => Err(MALFORMED),',
    to: 'Some(_) => if BROKEN { Ok(()) } else { Err(MALFORMED) },',
    tests: [refusal('refuses_wrong_shapes')],
  },
  {
    name: 'a record may go on after its end',
    file: 'record/canonical.rs',
    from: 'text[start..].strip_suffix(br#""}"#)?;',
    to: 'if BROKEN { text[start..].split(|byte| *byte == b\'"\').next()? } else { text[start..].strip_suffix(br#""}"#)? };',
    tests: [refusal('refuses_wrong_shapes')],
  },
  {
    name: 'base64 may have stray bits',
    file: 'record/base64/mod.rs',
    from: 'let len = decoded_len(text).filter(|&len| len <= out.len())?;',
    to: `let len = decoded_len(text).filter(|&len| len <= out.len())?;
    if BROKEN { return base64_simd::forgiving_decode(text, out.as_out()).ok().map(|decoded| decoded.len()); }`,
    tests: [refusal('refuses_base64_with_stray_trailing_bits_and_takes_each_length')],
  },
  {
    name: 'a payload above the limit is read',
    file: 'record/reader.rs',
    from: 'if len > MAX_SEALED {',
    to: 'if len > MAX_SEALED && !BROKEN {',
    tests: [['record_reader', 'the_payload_limit_is_exact_and_costs_nothing']],
  },
  {
    name: 'a key id may be of any length',
    file: 'record/reader.rs',
    from: 'if id.len() <= MAX_KEY_ID { Ok(id) } else { Err(MALFORMED) }',
    to: 'if BROKEN || id.len() <= MAX_KEY_ID { Ok(id) } else { Err(MALFORMED) }',
    tests: [refusal('refuses_ids_and_names_that_are_no_text')],
  },
  {
    name: 'nesting is not bounded',
    file: 'record/cursor.rs',
    from: 'if depth == MAX_DEPTH {',
    to: 'if depth == MAX_DEPTH && !BROKEN {',
    tests: [refusal('nesting_is_bounded')],
  },
]
