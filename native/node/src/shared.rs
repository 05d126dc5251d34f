//! What every thread of the process finds by number, and which of it ends with the environment that made it.
//!
//! A thread that is terminated runs none of its own clean-up, so what it leaves behind is taken out for it.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use asherah_core::Fault;
use napi::sys;

use crate::handle::{Kind, Table};

/// An environment: the address that Node gives to no other one until this one's clean-up is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner(usize);

impl Owner {
    /// The environment as an owner.
    pub fn of(env: sys::napi_env) -> Self {
        Owner(env.addr())
    }
}

#[derive(Debug)]
struct Owned<T> {
    owner: Owner,
    value: T,
}

/// A table of the whole process, whose entries are their owner's to close.
#[derive(Debug)]
pub struct Shared<T>(RwLock<Table<Owned<T>>>);

impl<T: Clone> Shared<T> {
    /// An empty table.
    pub const fn new(kind: Kind) -> Self {
        Shared(RwLock::new(Table::of_process(kind)))
    }

    /// What the number stands for, whichever thread asks, or [`Fault::StaleHandle`].
    pub fn find(&self, handle: f64) -> Result<T, Fault> {
        self.read().get(handle).map(|owned| owned.value.clone())
    }

    /// Keeps `value` until it is taken out, or [`Fault::OutOfSlots`]: its number.
    pub fn keep(&self, owner: Owner, value: T) -> Result<f64, Fault> {
        self.write().insert(Owned { owner, value })
    }

    /// Takes it out, whichever thread asks; the number is stale from now on.
    pub fn take(&self, handle: f64) -> Result<T, Fault> {
        self.write().remove(handle).map(|owned| owned.value)
    }

    /// Takes out all that `owner` has left.
    pub fn take_all_of(&self, owner: Owner) -> Vec<T> {
        let left = self.write().remove_all(|owned| owned.owner == owner);
        left.into_iter().map(|owned| owned.value).collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Table<Owned<T>>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table<Owned<T>>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_ends_with_its_own_entries_only() {
        let shared = Shared::new(Kind::Key);
        let (ending, other) = (Owner(1), Owner(2));
        let first = shared.keep(ending, "first").unwrap();
        let kept = shared.keep(other, "kept").unwrap();
        let given_back = shared.keep(ending, "given back").unwrap();
        let last = shared.keep(ending, "last").unwrap();
        // Any thread may give it back.
        assert_eq!(shared.take(given_back), Ok("given back"));
        assert_eq!(shared.take_all_of(ending), ["first", "last"]);
        for handle in [first, given_back, last] {
            assert_eq!(shared.find(handle), Err(Fault::StaleHandle));
            assert_eq!(shared.take(handle), Err(Fault::StaleHandle));
        }
        assert_eq!(shared.find(kept), Ok("kept"));
        assert!(shared.take_all_of(ending).is_empty());
    }
}
