//! What a ring holds, behind its one lock.

use std::collections::HashSet;
use std::sync::Arc;

use super::cell::{Cell, CellById, Generation, Standing};
use super::sieve::{Place, Sieve};
use crate::memory::Key;
use crate::status::Fault;

/// The cells by id, and the order of eviction.
///
/// A cell is in the map while it has a key or a session holds it, so a session's cell is always the one that keys are
/// put into. Arcs of cells are made under the ring's lock only: that makes their count meaningful here.
#[derive(Debug)]
pub(super) struct Store {
    cells: HashSet<CellById>,
    sieve: Sieve,
    capacity: usize,
    closed: bool,
    evictions: u64,
}

impl Store {
    pub(super) fn new(capacity: usize) -> Store {
        Store { cells: HashSet::new(), sieve: Sieve::new(), capacity, closed: false, evictions: 0 }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn keys(&self) -> usize {
        self.sieve.len()
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn evictions(&self) -> u64 {
        self.evictions
    }

    pub(super) fn cell(&self, id: &str) -> Option<&Arc<Cell>> {
        self.cells.get(id).map(|cell| &cell.0)
    }

    /// The cell of this id, made if it is not there.
    pub(super) fn ensure(&mut self, id: &str) -> Arc<Cell> {
        if let Some(cell) = self.cell(id) {
            return Arc::clone(cell);
        }
        let cell = Arc::new(Cell::new(id));
        self.cells.insert(CellById(Arc::clone(&cell)));
        cell
    }

    /// Puts a key in, in the place of an equal one; others leave when the ring is full.
    pub(super) fn put(
        &mut self,
        id: &str,
        created: i64,
        key: Arc<Key>,
        standing: &Standing,
    ) -> Result<(), Fault> {
        let cell = self.ensure(id);
        let is_in = {
            let mut state = cell.write();
            let is_in = state.refresh(created, standing);
            if let Some(generation) =
                state.generations.iter_mut().find(|generation| generation.created == created)
            {
                generation.key = Arc::clone(&key);
                generation.visit();
            }
            is_in
        };
        if is_in {
            return Ok(());
        }
        while self.sieve.len() >= self.capacity && self.evict_one() {}
        let place = Place { cell: Arc::clone(&cell), created };
        let node = self.sieve.push(place).ok_or(Fault::OutOfSlots)?;
        let mut state = cell.write();
        state.generations.reserve_exact(1);
        state.generations.push(Generation::new(created, key, standing, node));
        state.refresh(created, standing);
        Ok(())
    }

    /// Makes room for one key.
    fn evict_one(&mut self) -> bool {
        let spare = |place: &Place| {
            let state = place.cell.read();
            state.generation(place.created).is_some_and(Generation::take_visit)
        };
        let Some(Place { cell, created }) = self.sieve.pick(spare) else { return false };
        self.evictions += 1;
        self.remove(cell, created)
    }

    /// Takes a key out; who uses it at this moment has an Arc of it.
    pub(super) fn evict(&mut self, id: &str, created: i64) -> bool {
        match self.cell(id).map(Arc::clone) {
            Some(cell) => self.remove(cell, created),
            None => false,
        }
    }

    fn remove(&mut self, cell: Arc<Cell>, created: i64) -> bool {
        let Some(generation) = cell.write().remove(created) else { return false };
        self.sieve.remove(generation.node);
        self.forget_if_unused(cell);
        true
    }

    /// Drops `cell` from the map when it is empty and only the caller still held it.
    pub(super) fn forget_if_unused(&mut self, cell: Arc<Cell>) {
        // The map's and the caller's. Keys add one each, through their nodes.
        if Arc::strong_count(&cell) == 2 && cell.read().generations.is_empty() {
            self.cells.remove(cell.id());
        }
    }

    /// Drops every key, and takes no more.
    pub(super) fn close(&mut self) {
        self.closed = true;
        for CellById(cell) in self.cells.drain() {
            *cell.write() = super::cell::State::default();
        }
        self.sieve = Sieve::new();
    }
}
