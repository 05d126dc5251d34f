//! The order in which keys leave a full ring.

use std::sync::Arc;

use super::cell::Cell;

/// No node.
const NONE: u32 = u32::MAX;

/// SIEVE: keys stand in a queue in the order they came; a hand walks from the oldest to the newest, spares each key
/// that was used since it last passed, and takes the first that was not. Hits move nothing, so they need no lock here.
#[derive(Debug)]
pub(super) struct Sieve {
    nodes: Vec<Node>,
    len: usize,
    newest: u32,
    oldest: u32,
    /// Where the next search begins; `NONE` is the oldest.
    hand: u32,
    /// First of the free nodes, chained by `newer`.
    free: u32,
}

#[derive(Debug)]
struct Node {
    newer: u32,
    older: u32,
    /// `None` while the node is free.
    place: Option<Place>,
}

/// One key in the ring.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) cell: Arc<Cell>,
    pub(super) created: i64,
}

impl Sieve {
    pub(super) fn new() -> Sieve {
        Sieve { nodes: Vec::new(), len: 0, newest: NONE, oldest: NONE, hand: NONE, free: NONE }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Puts a key in as the newest and returns its node; `None` when nodes cannot be numbered any further.
    pub(super) fn push(&mut self, place: Place) -> Option<u32> {
        let node = Node { newer: NONE, older: self.newest, place: Some(place) };
        let at = if self.free == NONE {
            let at = u32::try_from(self.nodes.len()).ok().filter(|&at| at != NONE)?;
            self.nodes.push(node);
            at
        } else {
            let at = self.free;
            let slot = &mut self.nodes[at as usize];
            self.free = slot.newer;
            *slot = node;
            at
        };
        match self.newest {
            NONE => self.oldest = at,
            newest => self.nodes[newest as usize].newer = at,
        }
        self.newest = at;
        self.len += 1;
        Some(at)
    }

    /// Takes a key out.
    pub(super) fn remove(&mut self, at: u32) {
        let Some(node) = self.nodes.get_mut(at as usize).filter(|node| node.place.is_some()) else { return };
        let (newer, older) = (node.newer, node.older);
        *node = Node { newer: self.free, older: NONE, place: None };
        self.free = at;
        match newer {
            NONE => self.newest = older,
            newer => self.nodes[newer as usize].older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.nodes[older as usize].newer = newer,
        }
        if self.hand == at {
            self.hand = newer;
        }
        self.len -= 1;
    }

    /// The key to evict next: the first from the hand on that `spare` does not spare. The hand stops there.
    pub(super) fn pick(&mut self, mut spare: impl FnMut(&Place) -> bool) -> Option<Place> {
        // Every visit is forgotten on the way, so the second time round finds one unless keys are used meanwhile.
        for _ in 0..=self.len.saturating_mul(2) {
            let at = if self.hand == NONE { self.oldest } else { self.hand };
            let node = self.nodes.get(at as usize)?;
            let place = node.place.as_ref()?;
            if !spare(place) {
                self.hand = at;
                return Some(place.clone());
            }
            self.hand = node.newer;
        }
        let last = if self.hand == NONE { self.oldest } else { self.hand };
        self.nodes.get(last as usize)?.place.clone()
    }
}
