//! Numbers that stand for native objects on the JavaScript side.
//!
//! ```text
//!  52                    24 23                 2 1    0
//! ┌────────────────────────┬────────────────────┬──────┐
//! │ generation, 29 bits    │ index, 22 bits     │ kind │
//! └────────────────────────┴────────────────────┴──────┘
//! ```
//!
//! A number is below 2^53, so JavaScript keeps it exactly; the first 127 generations fit the small integers that it keeps
//! without an allocation. A slot whose generations are used up is never used again.

use asherah_core::Fault;

const KIND_BITS: u32 = 2;
const INDEX_BITS: u32 = 22;
const GENERATION_BITS: u32 = 29;
/// The generations that one thread may give to a slot; threads number theirs apart from each other.
const THREAD_GENERATION_BITS: u32 = 20;
const LIMIT: f64 = (1_u64 << (KIND_BITS + INDEX_BITS + GENERATION_BITS)) as f64;

/// What a number stands for: a ring's number is not taken for a key's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A ring of keys.
    Ring = 1,
    /// A session of one partition.
    Session = 2,
    /// A key.
    Key = 3,
}

/// Objects of one kind, found again by their numbers.
#[derive(Debug)]
pub struct Table<T> {
    kind: Kind,
    first_generation: u32,
    last_generation: u32,
    slots: Vec<Slot<T>>,
    free: Vec<usize>,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Slot<T> {
    /// Makes the number that was given for it stale; whether there is another to give.
    fn advance(&mut self, last_generation: u32) -> bool {
        let has_more = self.generation < last_generation;
        if has_more {
            self.generation += 1;
        }
        has_more
    }
}

impl<T> Table<T> {
    /// An empty table whose numbers are valid in the whole process.
    pub const fn of_process(kind: Kind) -> Self {
        let last_generation = (1 << GENERATION_BITS) - 1;
        Table { kind, first_generation: 1, last_generation, slots: Vec::new(), free: Vec::new() }
    }

    /// An empty table whose numbers another thread's table refuses, for the first 512 threads of a process.
    pub const fn of_thread(kind: Kind, ordinal: u32) -> Self {
        let base = (ordinal % (1 << (GENERATION_BITS - THREAD_GENERATION_BITS))) << THREAD_GENERATION_BITS;
        let last_generation = base | ((1 << THREAD_GENERATION_BITS) - 1);
        Table { kind, first_generation: base + 1, last_generation, slots: Vec::new(), free: Vec::new() }
    }

    /// Keeps `value` and gives its number, or [`Fault::OutOfSlots`] with four million kept.
    pub fn insert(&mut self, value: T) -> Result<f64, Fault> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.slots.len() < 1 << INDEX_BITS => {
                self.slots.push(Slot { generation: self.first_generation, value: None });
                self.slots.len() - 1
            }
            None => return Err(Fault::OutOfSlots),
        };
        let slot = &mut self.slots[index];
        slot.value = Some(value);
        let bits = (u64::from(slot.generation) << (INDEX_BITS + KIND_BITS))
            | ((index as u64) << KIND_BITS)
            | self.kind as u64;
        Ok(bits as f64)
    }

    /// What the number stands for, or [`Fault::StaleHandle`].
    #[inline]
    pub fn get(&self, handle: f64) -> Result<&T, Fault> {
        let (index, generation) = self.split(handle)?;
        match self.slots.get(index) {
            Some(Slot { generation: given, value: Some(value) }) if *given == generation => Ok(value),
            _ => Err(Fault::StaleHandle),
        }
    }

    /// Takes it out; the number is stale from now on.
    pub fn remove(&mut self, handle: f64) -> Result<T, Fault> {
        let (index, generation) = self.split(handle)?;
        let slot = self
            .slots
            .get_mut(index)
            .filter(|slot| slot.generation == generation)
            .ok_or(Fault::StaleHandle)?;
        let value = slot.value.take().ok_or(Fault::StaleHandle)?;
        if slot.advance(self.last_generation) {
            self.free.push(index);
        }
        Ok(value)
    }

    /// Takes out all that are `wanted`, in the order of their slots; their numbers are stale from now on.
    pub fn remove_all(&mut self, wanted: impl Fn(&T) -> bool) -> Vec<T> {
        let mut removed = Vec::new();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let Some(value) = slot.value.take_if(|value| wanted(value)) else { continue };
            removed.push(value);
            if slot.advance(self.last_generation) {
                self.free.push(index);
            }
        }
        removed
    }

    #[inline]
    fn split(&self, handle: f64) -> Result<(usize, u32), Fault> {
        // NaN is in no range; what is left fits 53 bits.
        if !(1.0..LIMIT).contains(&handle) {
            return Err(Fault::StaleHandle);
        }
        let bits = handle as u64;
        if bits as f64 != handle || bits & ((1 << KIND_BITS) - 1) != self.kind as u64 {
            return Err(Fault::StaleHandle);
        }
        let index = (bits >> KIND_BITS) & ((1 << INDEX_BITS) - 1);
        Ok((index as usize, (bits >> (INDEX_BITS + KIND_BITS)) as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_good_until_removed() {
        let mut table = Table::of_process(Kind::Key);
        let first = table.insert("first").unwrap();
        let second = table.insert("second").unwrap();
        assert_eq!((table.get(first), table.get(second)), (Ok(&"first"), Ok(&"second")));
        assert_eq!(table.remove(first), Ok("first"));
        assert_eq!(table.remove(first), Err(Fault::StaleHandle));
        let third = table.insert("third").unwrap();
        assert_ne!(third, first);
        assert_eq!((table.get(first), table.get(third)), (Err(Fault::StaleHandle), Ok(&"third")));
    }

    #[test]
    fn many_are_removed_at_once() {
        let mut table = Table::of_process(Kind::Key);
        let handles = [10, 11, 12, 13].map(|value| table.insert(value).unwrap());
        table.remove(handles[2]).unwrap();
        assert_eq!(table.remove_all(|value| value % 2 == 0), [10]);
        let found = handles.map(|handle| table.get(handle).copied().ok());
        assert_eq!(found, [None, Some(11), None, Some(13)]);
        // The two slots are used again, under other numbers.
        let again = [20, 22].map(|value| table.insert(value).unwrap());
        assert_eq!(table.slots.len(), 4);
        assert!(again.iter().all(|handle| !handles.contains(handle)));
    }

    #[test]
    fn any_other_number_is_stale() {
        let mut table = Table::of_process(Kind::Key);
        let handle = table.insert(()).unwrap();
        let others = [
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            0.0,
            -0.0,
            1.0,
            -handle,
            handle + 0.5,
            handle + 1.0,
            handle - 1.0,
            handle + 4.0,
            handle + 16_777_216.0,
            LIMIT,
            LIMIT - 1.0,
            f64::MAX,
            f64::MIN_POSITIVE,
        ];
        for other in others {
            assert_eq!(table.get(other), Err(Fault::StaleHandle), "{other}");
            assert_eq!(table.remove(other), Err(Fault::StaleHandle), "{other}");
        }
        assert_eq!(table.get(handle), Ok(&()));
    }

    #[test]
    fn kinds_and_threads_are_told_apart() {
        let mut rings = Table::of_process(Kind::Ring);
        let mut keys = Table::of_process(Kind::Key);
        let mut main = Table::of_thread(Kind::Session, 0);
        let mut worker = Table::of_thread(Kind::Session, 1);
        let (ring, key) = (rings.insert(()).unwrap(), keys.insert(()).unwrap());
        assert_eq!((rings.get(key), keys.get(ring)), (Err(Fault::StaleHandle), Err(Fault::StaleHandle)));
        let (mine, theirs) = (main.insert(()).unwrap(), worker.insert(()).unwrap());
        assert_eq!((main.get(theirs), worker.get(mine)), (Err(Fault::StaleHandle), Err(Fault::StaleHandle)));
    }

    #[test]
    fn a_slot_is_given_up_before_a_number_comes_back() {
        let mut table = Table::of_thread(Kind::Session, 3);
        let first = table.insert(()).unwrap();
        table.remove(first).unwrap();
        table.slots[0].generation = table.last_generation;
        let last = table.insert(()).unwrap();
        assert!(last < LIMIT);
        table.remove(last).unwrap();
        let next = table.insert(()).unwrap();
        assert_eq!(table.slots.len(), 2);
        assert_ne!(next, first);
    }
}
