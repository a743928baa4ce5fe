//! mimalloc, asked for what is needed.
//!
//! The crate `mimalloc` asks for every block with its alignment, even one that each block has. That takes twice the
//! instructions; and where the next free block is not at hand (one time in ten), mimalloc gives a larger one from
//! another page, whose blocks are then slower to free.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};

use libmimalloc_sys::{
    mi_free, mi_malloc, mi_malloc_aligned, mi_realloc, mi_realloc_aligned, mi_zalloc,
    mi_zalloc_aligned,
};

/// The allocator.
pub struct Allocator;

/// What every block is aligned to.
const NATURAL: usize = size_of::<usize>();

// SAFETY: the functions of mimalloc keep the contract of `GlobalAlloc`: a block has the size that was asked for, stays
// where it is until it is given back, and is aligned to a machine word, or to what was asked for where that is more.
// A block's alignment is the same in all calls about it. None of them unwinds.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        // SAFETY: any size will do, and `Layout` has alignments that are powers of two.
        unsafe { if align <= NATURAL { mi_malloc(size) } else { mi_malloc_aligned(size, align) } }
            .cast()
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        // SAFETY: as in `alloc`.
        unsafe { if align <= NATURAL { mi_zalloc(size) } else { mi_zalloc_aligned(size, align) } }
            .cast()
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the caller got the block from here.
        unsafe { mi_free(block.cast()) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let (block, align) = (block.cast(), layout.align());
        // SAFETY: the caller got the block from here, with this alignment.
        unsafe {
            if align <= NATURAL {
                mi_realloc(block, size)
            } else {
                mi_realloc_aligned(block, size, align)
            }
        }
        .cast()
    }
}
