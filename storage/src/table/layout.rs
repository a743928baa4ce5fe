//! Layouts that outlive every guard under which a row was read through them, so that a row's
//! lifetime is the guard's alone.
#![allow(unsafe_code)]

use std::ops::Deref;
use std::sync::Arc;

use arc_swap::ArcSwap;
use crossbeam_epoch::Guard;

use crate::store::Layout;

/// A layout that is dropped when today's guards are gone.
pub(super) struct SharedLayout {
    /// `Some` until dropped.
    held: Option<Arc<Layout>>,
    at: *const Layout,
}

// SAFETY: `at` points into `held`, which is immutable and shared.
unsafe impl Send for SharedLayout {}
// SAFETY: as above.
unsafe impl Sync for SharedLayout {}

impl SharedLayout {
    pub(super) fn new(layout: Layout) -> SharedLayout {
        let held = Arc::new(layout);
        SharedLayout { at: Arc::as_ptr(&held), held: Some(held) }
    }

    /// The layout for as long as the guard is pinned, whatever becomes of `self`.
    #[inline]
    pub(super) fn under<'g>(&self, _guard: &'g Guard) -> &'g Layout {
        // SAFETY: it is there now, and dropping `self` defers its end past this guard.
        unsafe { &*self.at }
    }
}

impl Deref for SharedLayout {
    type Target = Layout;

    #[inline]
    fn deref(&self) -> &Layout {
        // SAFETY: `held` keeps it alive as long as `self`.
        unsafe { &*self.at }
    }
}

impl Drop for SharedLayout {
    fn drop(&mut self) {
        if let Some(layout) = self.held.take() {
            crossbeam_epoch::pin().defer(move || drop(layout));
        }
    }
}

/// A storage's current layout for as long as the guard is pinned.
pub(super) fn under<'g>(layout: &ArcSwap<Layout>, guard: &'g Guard) -> &'g Layout {
    let held = layout.load_full();
    let at = Arc::as_ptr(&held);
    guard.defer(move || drop(held));
    // SAFETY: the count just taken is given back only when this guard is gone.
    unsafe { &*at }
}
