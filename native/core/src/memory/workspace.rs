//! What each thread has of its own in the arena: a generator and a slot to work in.

use std::cell::Cell;

use super::arena::{self, Arena};
use super::generator::Generator;
use super::slot::CoreSlot;
use crate::aead;
use crate::status::Fault;

/// One thread's two slots. Zeroed and given back when the thread ends, those of other threads stay.
#[derive(Debug)]
pub(super) struct Workspace {
    pub(super) generator: Generator,
    pub(super) work: CoreSlot,
}

thread_local! {
    static MINE: Cell<Option<Workspace>> = const { Cell::new(None) };
}

/// Runs an operation between two looks at the sentinel, and leaves the work slot and the stack clean.
pub(super) fn run<R>(
    operation: impl FnOnce(&'static Arena, &mut Workspace) -> Result<R, Fault>,
) -> Result<R, Fault> {
    let arena = arena::live()?;
    // A thread that is about to end has no place for a workspace any more; it gets one for this operation.
    let mine = MINE.try_with(Cell::take).ok().flatten();
    let mut workspace = match mine {
        Some(workspace) => workspace,
        None => Workspace { generator: Generator::new(arena)?, work: arena.take()? },
    };
    let result = apart(operation, arena, &mut workspace);
    workspace.work.wipe();
    let mut kept = Some(workspace);
    let _ = MINE.try_with(|mine| mine.set(kept.take()));
    aead::scrub();
    arena.alive()?;
    result
}

/// Not inlined, so that the frame is one that [`aead::scrub`] overwrites.
#[inline(never)]
fn apart<R>(
    operation: impl FnOnce(&'static Arena, &mut Workspace) -> Result<R, Fault>,
    arena: &'static Arena,
    workspace: &mut Workspace,
) -> Result<R, Fault> {
    operation(arena, workspace)
}
