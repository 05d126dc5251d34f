//! The partition gate: which key ids a session may name at all.

/// Decides whether a record's `KeyId` belongs to a session's partition, before anything is looked up.
///
/// An id is `core` or `core_suffix`, where `core` is `_IK_{partition}_{service}_{product}`. Ids are not escaped, so a
/// looser prefix would let product `prod` read `prod2`, or partition `a` read `a_svc_prod_x`.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    suffix: Box<str>,
    accepted: Box<[Box<str>]>,
}

impl Gate {
    /// A gate for ids written with `suffix` (empty: without any), which also lets the `accepted` suffixes pass.
    ///
    /// Without a suffix of its own the gate accepts no other either.
    #[must_use]
    pub fn new(suffix: &str, accepted: &[String]) -> Gate {
        let accepted = accepted.iter().filter(|other| !other.is_empty());
        Gate { suffix: suffix.into(), accepted: accepted.map(|other| other.as_str().into()).collect() }
    }

    /// The id that newly written records of this partition name.
    #[must_use]
    pub fn own_id(&self, core: &str) -> String {
        if self.suffix.is_empty() { core.to_owned() } else { [core, "_", &self.suffix].concat() }
    }

    /// Whether a session of the partition `core` may use the key `key_id`.
    #[must_use]
    pub fn admits(&self, core: &str, key_id: &str) -> bool {
        let Some(rest) = key_id.strip_prefix(core) else { return false };
        if rest.is_empty() {
            return true;
        }
        if self.suffix.is_empty() {
            return false;
        }
        let Some(suffix) = rest.strip_prefix('_') else { return false };
        suffix == &*self.suffix
            || self.accepted.iter().any(|other| suffix == &**other)
            || (is_region_shaped(suffix) && !ends_with_word(core, suffix))
    }
}

/// Where service and product are one word, `core_word` is partition `a_word`'s own id as well as `a`'s with a suffix.
fn ends_with_word(core: &str, word: &str) -> bool {
    core.strip_suffix(word).is_some_and(|rest| rest.ends_with('_'))
}

/// Letters, digits and `-`: what cloud regions are called. An `_` would reach into another partition's ids.
fn is_region_shaped(suffix: &str) -> bool {
    !suffix.is_empty() && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}
