//! Zeroed arrays of atomics that may lie on huge pages.
#![allow(unsafe_code)]

use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// Types for which zeroed memory is a value, and which are shared without locks.
pub(super) trait Zeroed: Sync {}
impl Zeroed for AtomicU32 {}
impl Zeroed for AtomicU64 {}

/// A fixed array. Its pages are taken from the system when first written.
pub(super) struct Region<T> {
    start: NonNull<T>,
    len: usize,
    memory: memory::Memory,
}

// SAFETY: a region owns its memory like a boxed slice; its elements are atomics.
unsafe impl<T: Zeroed> Send for Region<T> {}
// SAFETY: as above.
unsafe impl<T: Zeroed> Sync for Region<T> {}

impl<T: Zeroed> Region<T> {
    pub(super) fn zeroed(len: usize, huge: bool) -> Self {
        let memory = memory::Memory::zeroed(len * size_of::<T>(), huge);
        Region { start: memory.start().cast(), len, memory }
    }
}

impl<T: Zeroed> Deref for Region<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: `len` zeroed elements, for which zeroes are a value, live as long as `self.memory`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T> Drop for Region<T> {
    fn drop(&mut self) {
        self.memory.release();
    }
}

#[cfg(target_os = "linux")]
mod memory {
    use std::alloc::{Layout, handle_alloc_error};
    use std::ptr::{NonNull, null_mut};

    const PAGE: usize = 4096;
    const HUGE_PAGE: usize = 2 << 20;

    /// A mapping of its own. (The allocator would write zeros to aligned memory, onto small pages.)
    pub(super) struct Memory {
        base: NonNull<u8>,
        bytes: usize,
        offset: usize,
    }

    impl Memory {
        pub(super) fn zeroed(bytes: usize, huge: bool) -> Self {
            let spare = if huge { HUGE_PAGE } else { 0 };
            let bytes = bytes.next_multiple_of(PAGE).max(PAGE) + spare;
            let (rw, how) =
                (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            // SAFETY: a new anonymous mapping touches no memory that exists.
            let base = unsafe { libc::mmap(null_mut(), bytes, rw, how, -1, 0) };
            let base = match NonNull::new(base.cast::<u8>()) {
                Some(base) if base.as_ptr().cast() != libc::MAP_FAILED => base,
                _ => handle_alloc_error(Layout::new::<u8>()),
            };
            let offset = if huge { base.as_ptr().align_offset(HUGE_PAGE) } else { 0 };
            if huge {
                // SAFETY: the range is this mapping; the advice changes no contents and may fail.
                unsafe { libc::madvise(base.as_ptr().cast(), bytes, libc::MADV_HUGEPAGE) };
            }
            Memory { base, bytes, offset }
        }

        pub(super) fn start(&self) -> NonNull<u8> {
            // SAFETY: `offset` is at most the spare huge page that was mapped with the rest.
            unsafe { self.base.add(self.offset) }
        }

        /// Called once, by the region's drop.
        pub(super) fn release(&mut self) {
            // SAFETY: unmaps what `zeroed` mapped; the region that could reach it is being dropped.
            unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes) };
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod memory {
    use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
    use std::ptr::NonNull;

    /// Memory of the allocator.
    pub(super) struct Memory {
        base: NonNull<u8>,
        layout: Layout,
    }

    impl Memory {
        pub(super) fn zeroed(bytes: usize, _huge: bool) -> Self {
            let Ok(layout) = Layout::from_size_align(bytes.max(64), 64) else {
                handle_alloc_error(Layout::new::<u8>())
            };
            // SAFETY: the layout is not of size zero.
            let Some(base) = NonNull::new(unsafe { alloc_zeroed(layout) }) else {
                handle_alloc_error(layout)
            };
            Memory { base, layout }
        }

        pub(super) fn start(&self) -> NonNull<u8> {
            self.base
        }

        /// Called once, by the region's drop.
        pub(super) fn release(&mut self) {
            // SAFETY: allocated with this very layout; the region that could reach it is being dropped.
            unsafe { dealloc(self.base.as_ptr(), self.layout) };
        }
    }
}
